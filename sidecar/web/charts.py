"""Bars over time, as SVG that is drawn here: the page loads no library, and is whole without a script."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final

from sidecar.web.html import text

WIDTH: Final = 720
HEIGHT: Final = 90
# A bar that stands for something is seen, beside one of any height.
MIN_BAR: Final = 2


def bars(title: str, points: Sequence[tuple[float, int]], slots: int) -> Iterator[str]:
    """Yield a figure of counts by unix time, the newest at the right edge; there are `slots` places for bars."""
    total, most = sum(count for _, count in points), max((count for _, count in points), default=0)
    step = WIDTH / slots
    summary = f"{title}, last 24 hours: {total:,}; the most in ten minutes: {most:,}"
    yield f"<figure><figcaption>{text(title)} <strong>{total:,}</strong></figcaption>"
    yield f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(summary)}" preserveAspectRatio="none">'
    for number, (at, count) in enumerate(points[-slots:], start=slots - len(points[-slots:])):
        if count:
            height = max(MIN_BAR, count / most * HEIGHT)
            when = time.strftime("%H:%M", time.localtime(at))
            yield (
                f'<rect x="{number * step:.1f}" y="{HEIGHT - height:.1f}" width="{max(step - 1, 1):.1f}" '
                f'height="{height:.1f}"><title>{when}: {count:,}</title></rect>'
            )
    yield '</svg><p class="axis"><span>24 h ago</span>'
    yield f"<span>at most {most:,} in ten minutes</span><span>now</span></p></figure>\n"
