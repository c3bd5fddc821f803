"""A container's log as a node has it: what its program prints, as containerd writes it."""

import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.sources.files.kubelet import Kubelet

EVERYONE = uuid.UUID("6b7f3a52-0d8e-4c55-9d1c-2b6a3f1e7c90")


def run(
    command: Sequence[str | Path],
    pods: Path,
    name: str,
    environ: Mapping[str, str] | None = None,
    patience: float = 90,
) -> tuple[int, str]:
    """Runs what is in the container NAMESPACE/POD/CONTAINER, its output in that container's log.

    Exit code, and what it said on stderr (which goes no further).
    """
    namespace, pod, container = name.split("/")
    log = Kubelet(pods, f"{namespace}_{pod}_{uuid.uuid5(EVERYONE, name)}", container, at=time.time_ns())
    said = log.folder.parent / "stderr"
    with (
        said.open("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environ) as program,
    ):
        assert program.stdout
        for line in program.stdout:
            log.write(line.rstrip("\n"))
        code = program.wait(patience)
        log.close()
        errors.seek(0)
        return code, errors.read()
