"""The bed as a whole: a private host with a Docker engine, and people who visit or attack it."""

import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Self

from tests.bed import cache, engine, images, network, wordpress
from tests.bed.capsule import Capsule, Process
from tests.bed.clients import Client
from tests.bed.daemon import Daemon, own
from tests.bed.engine import Engine
from tests.bed.network import Place
from tests.bed.plugins import plugins
from tests.bed.webhook import Webhook
from tests.bed.wordpress import Log, Site

FOLDER = Path("/run/wp-sidecar-bed")  # short: the name of a socket has room for 107 bytes
NAME = os.environ.get("BED_NAME", "wps")


class Bed:
    """A `host` with an `engine`; an `attacker`, an `attacker2` and a `visitor` on its Internet."""

    def __init__(self, name: str, docker: Engine) -> None:
        self.name, self.engine = name, docker
        self.host = Place(network.HOST, name)
        self.attacker, self.attacker2, self.visitor = (Client(address, name) for address in network.CLIENTS)

    @classmethod
    @contextmanager
    def up(
        cls,
        *,
        sidecar: bool = False,
        live_restore: bool = False,
        flags: Sequence[str] | None = None,
        keep: bool = False,
        patience: float = 900,
        name: str = "",
        daemon: Daemon | None = None,
    ) -> Iterator[Self]:
        """A bed for as long as the `with` lasts, or, to `keep`, until `python -m tests.bed down`.

        `sidecar` builds the checkout's own image as well. `flags` are dockerd's; by default those that
        publish ports over IPv6 as over IPv4. Another `daemon` than the machine's own has the base image only, a data
        root and a name of its own: two beds can be up at a time. If another bed has them, waits `patience` seconds
        for it to go.
        """
        if os.geteuid():
            raise PermissionError("the bed makes network namespaces: run this as root")
        docker = daemon or own()
        is_own = docker == own()
        # No beginning of the other, with a dash behind it: by that a bed's namespaces are known.
        name = name or (NAME if is_own else f"{NAME}o")
        wanted = [*images.stand_ins(), *([images.sidecar()] if sidecar else [])] if is_own else []
        home = cache.home() / docker.home
        home.mkdir(exist_ok=True)
        folder = FOLDER / name
        with ExitStack() as stack:
            # The name is one bed's at a time, and so is the data root.
            locks = (FOLDER / f"{name}.lock", home / "lock")
            held = [stack.enter_context(cache.lock(path, patience)) for path in locks]
            _sweep(name)
            folder.mkdir()
            plugged = plugins()
            images.ensure(wanted, home, folder, held, docker)
            with ExitStack() as parts:
                parts.callback(_sweep, name)
                network.up(name)
                activated = parts.enter_context(_listen(folder / "activated.sock"))
                netns = network.FOLDER / f"{name}-{network.HOST.name}"
                capsule = Capsule(folder, netns=netns, held=held, keep=keep)
                parts.callback(capsule.close)
                flags = docker.ip6tables if flags is None else flags
                flags = [*flags, *(["--live-restore"] if live_restore else [])]
                bed = cls(
                    name,
                    Engine(
                        folder, capsule.process, home / "docker", flags, activated=activated, daemon=docker
                    ),
                )
                parts.callback(bed._close)
                (folder / "capsule.json").write_text(json.dumps(capsule.process))
                bed.engine.plug(plugged)
                engine.disarm(home / "docker")
                bed.engine.start()
                bed.engine.clear()
                yield bed
                if keep:
                    parts.pop_all()

    @classmethod
    def attach(cls, name: str = NAME) -> Self | None:
        """The bed that was kept up, to look around in; it stays when we go."""
        capsule = _capsule(name)
        return (
            cls(name, Engine(FOLDER / name, capsule, cache.home() / "engine" / "docker")) if capsule else None
        )

    def wordpress(
        self,
        *,
        log: Log = "access",
        ipv6: bool = True,
        fpm: bool = False,
        name: str = "site",
        port: int = 80,
        labels: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> Site:
        """A WordPress site, up and installed (wordpress.ADMIN, wordpress.EDITOR).

        log "plugin": WP fail2ban's messages too, on standard error. Without `ipv6` its network has IPv4 only,
        and who comes over IPv6 is seen as Docker's gateway. `fpm`: nginx before php-fpm. `options` are
        docker run's.
        """
        return wordpress.start(
            self.engine,
            self.host,
            name=name,
            port=port,
            log=log,
            ipv6=ipv6,
            fpm=fpm,
            labels=dict(labels or {}),
            options=tuple(options),
        )

    def ready(self, site: Site) -> None:
        """Waits until the site's pages come, as after a restart."""
        wordpress.wait(site, self.host)

    @cached_property
    def webhook(self) -> Webhook:
        """Where alerts may be sent to, in the host."""
        return Webhook(self.host)

    def _close(self) -> None:
        for place in (self.attacker, self.attacker2, self.visitor, self.host):
            place.close()
        if "webhook" in self.__dict__:
            self.webhook.close()
        if self.engine.answers():
            self.engine.clear()
        self.engine.stop()


def down(name: str = NAME) -> bool:
    """Removes a bed that was kept up. Was there one?"""
    bed, capsule = Bed.attach(name), _capsule(name)
    if not bed or not capsule:
        return False
    if bed.engine.answers():
        bed.engine.clear()
    capsule.end()
    _sweep(name)
    return True


def _capsule(name: str) -> Process | None:
    path = FOLDER / name / "capsule.json"
    if not path.exists():
        return None
    process = Process(*json.loads(path.read_text()))
    return process if process.alive else None


def _sweep(name: str) -> None:
    """Removes what is left of a bed whose processes are gone."""
    network.down(name)
    shutil.rmtree(FOLDER / name, ignore_errors=True)


@contextmanager
def _listen(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(64)
        yield listening
