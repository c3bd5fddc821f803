"""python -m dashboards: writes the four dashboards, as `boards.py` describes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from dashboards.boards import BOARDS

FOLDER: Final = Path(__file__).resolve().parent / "boards"


def texts() -> dict[str, str]:
    """Return the text of each file, by its name."""
    return {f"{name}.json": json.dumps(make(), indent=2) + "\n" for name, make in BOARDS.items()}


if __name__ == "__main__":
    for name, text in texts().items():
        (FOLDER / name).write_text(text)
