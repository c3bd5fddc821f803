"""The DaemonSet's pod on a node: the image as the rendered manifest says, in the bed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bed import Bed
from tests.bed.images import SIDECAR
from tests.charts.helm import manifests, render
from tests.charts.podspec import Node, docker_run
from tests.support.waiting import wait_until

NAME = "guard"  # the container's
STATE = "var/lib/wp-sidecar/guard/shop-wp-sidecar"  # below the node's root


def disk(folder: Path) -> Node:
    """A node that runs no pod yet."""
    (folder / "node/var/log/pods").mkdir(parents=True)
    return Node(folder / "node", folder / "scratch")


@contextmanager
def guarding(
    bed: Bed, node: Node, values: Path | None = None, *arguments: str
) -> Iterator[Callable[..., str]]:
    """Its pod on this node, as `helm template` with these arguments renders it; yields its `wp-sidecar` command."""

    def command(*arguments: str, check: bool = True) -> str:
        return bed.engine.cli("exec", NAME, "wp-sidecar", *arguments, check=check).stdout

    def why() -> str:
        said = bed.engine.cli("logs", NAME)
        return f"{said.stdout}{said.stderr}"[-3000:]

    pod = docker_run(manifests(render(values, *arguments)), node, image=SIDECAR, name=NAME)
    bed.engine.cli("run", "--detach", *pod)
    try:
        wait_until(lambda: command("healthcheck", check=False) == "ok\n", 120, why)
        yield command
    finally:
        bed.engine.cli("rm", "--force", NAME)
