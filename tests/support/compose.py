"""`compose.yaml` as a user starts it, in the bed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bed import Bed, Site
from tests.bed.images import SIDECAR
from tests.support.paths import ROOT
from tests.support.waiting import wait_until

# The bed's own images, and a database in which WordPress is installed already.
OVERRIDE = f"""
services:
  wp-sidecar: {{image: "{SIDECAR}"}}
  db: {{image: "mariadb:11-seeded"}}
"""


@contextmanager
def composed(bed: Bed, project: str, folder: Path, *more: Path) -> Iterator[Callable[..., str]]:
    """The services of `compose.yaml` as a project with this name, and `more` files for it. Yields `docker compose`."""
    override = folder / "override.yaml"
    override.write_text(OVERRIDE)
    files = [word for each in (ROOT / "compose.yaml", override, *more) for word in ("-f", str(each))]

    def compose(*arguments: str, check: bool = True) -> str:
        options = [f"--project-directory={ROOT}", "-p", project, *files]
        return bed.engine.cli("compose", *options, *arguments, check=check).stdout

    compose("up", "--detach", "--no-build", "--wait", "db", "wp-sidecar", "wordpress")
    yield compose
    compose("down", "--volumes")


def site_of(bed: Bed, project: str) -> Site:
    """The site of a project that is up, as soon as its pages come."""
    container = f"{project}-wordpress-1"
    site = Site(bed.engine, project, 80, container=container, php=container)
    wait_until(lambda: bed.visitor.get(site, "/wp-login.php") == 200)
    return site
