"""The bed's images: which there are, what each is made from, and how they are built."""

import json
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.bed import base, cache, engine
from tests.bed.capsule import Capsule
from tests.bed.daemon import Daemon
from tests.bed.engine import Engine

HERE = Path(__file__).parent
CHECKOUT = HERE.parent.parent
SIDECAR = "wp-sidecar:bed"


@dataclass(frozen=True)
class Image:
    """A tag, and how it comes about: a target of the Dockerfile in a folder."""

    tag: str
    context: Path
    target: str = ""
    made_from: str = ""  # a key over the sources


def stand_ins() -> list[Image]:
    """Instead of the official images, which need a registry."""
    folder = HERE / "containers"
    made_from = cache.key(folder)
    targets = {
        "wordpress:apache": "wordpress",
        "wordpress:fpm": "wordpress-fpm",
        "mariadb:11": "mariadb",
        "mariadb:11-seeded": "mariadb-seeded",
        "nginx:1.26": "nginx",
    }
    return [Image(tag, folder, target, made_from) for tag, target in targets.items()]


def sidecar(checkout: Path = CHECKOUT) -> Image:
    """The product's own image, from the checkout's Dockerfile as it stands."""
    dockerfile = checkout / "Dockerfile"
    if not dockerfile.exists():
        raise FileNotFoundError(f"{dockerfile} is not there yet")
    lines = dockerfile.read_text().replace("\\\n", " ")
    copied = re.findall(r"^COPY ((?:(?!--from)\S+ )+)\S+$", lines, re.MULTILINE)
    sources = [checkout / name for line in copied for name in line.split() if not name.startswith("--")]
    ignored = checkout / ".dockerignore"
    made_from = cache.key(dockerfile, *([ignored] if ignored.exists() else []), *sources)
    return Image(SIDECAR, checkout, "", made_from)


def ensure(
    images: Iterable[Image], home: Path, folder: Path, held: Sequence[IO[str]], daemon: Daemon | None = None
) -> None:
    """Builds the base image and those of the images that are absent or made from something else.

    Has the data root to itself.
    """
    stamps = Stamps(home)
    # with another configuration it may be another store, in which there is nothing yet
    ground = Image(base.TAG, HERE, made_from=base.made_from() + engine.CONFIG)
    wanted = [Image(i.tag, i.context, i.target, f"{ground.made_from}-{i.made_from}") for i in images]
    stale = [image for image in wanted if not stamps.fresh(image)]
    if not stale and stamps.fresh(ground):
        return
    cache.tell(f"building {', '.join(i.tag for i in stale or [ground])}")
    capsule = Capsule(folder, netns=None, held=held)
    docker = Engine(folder, capsule.process, home / "docker", engine.HARMLESS, daemon=daemon)
    try:
        docker.plug(None)
        engine.disarm(home / "docker")
        docker.start()
        docker.clear()
        if not stamps.fresh(ground):  # no step built on the old one is of use
            docker.cli("builder", "prune", "--all", "--force")
            base.make(docker)
            stamps.set(ground)
        if stale:
            _build(docker, stale, stamps)
        docker.cli("image", "prune", "--force")
        docker.cli("builder", "prune", "--force", "--filter=until=48h")
        docker.stop()
    finally:
        capsule.close()


class Stamps:
    """What each tag in the data root was made from, written when its build has succeeded."""

    def __init__(self, home: Path) -> None:
        self._path = home / "images.json"
        self._keys: dict[str, str] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def fresh(self, image: Image) -> bool:
        return self._keys.get(image.tag) == image.made_from

    def set(self, image: Image) -> None:
        self._keys[image.tag] = image.made_from
        scratch = self._path.with_suffix(".new")
        scratch.write_text(json.dumps(self._keys, indent=1))
        scratch.replace(self._path)


def _build(docker: Engine, images: Sequence[Image], stamps: Stamps) -> None:
    def build(image: Image) -> None:
        target = [f"--target={image.target}"] if image.target else []
        # the machine's own network: a build needs its package mirrors, and runs no sidecar
        docker.cli("build", "--network=host", *target, f"--tag={image.tag}", str(image.context), timeout=900)

    with ThreadPoolExecutor(len(images)) as pool:  # what targets have in common, the engine builds once
        for image, _ in zip(images, pool.map(build, images), strict=True):
            stamps.set(image)
