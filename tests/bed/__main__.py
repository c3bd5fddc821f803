"""python -m tests.bed up|down|status|shell: a bed to look around in."""
# ruff: noqa: T201 - a command prints

import argparse
import os

from tests.bed import ADMIN, EDITOR, Bed, Site, down
from tests.bed.bed import NAME
from tests.bed.network import HOST

NONE = "no bed is up"
PLACES = ("host", "attacker", "attacker2", "visitor")
COLUMNS = "table {{.Names}}\t{{.Image}}\t{{.Status}}\t{{.Ports}}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bed", description=__doc__)
    parser.set_defaults(act=lambda _: parser.print_help())
    commands = parser.add_subparsers()
    up = commands.add_parser("up", help="make a bed with a WordPress site, and keep it")
    up.add_argument("--log", choices=["access", "plugin"], default="access", help="what WordPress logs")
    up.add_argument("--fpm", action="store_true", help="nginx and php-fpm instead of Apache")
    up.add_argument("--sidecar", action="store_true", help="build the sidecar's image too")
    up.set_defaults(act=_up)
    commands.add_parser("down", help="remove it").set_defaults(act=_down)
    commands.add_parser("status", help="what runs in it").set_defaults(act=_status)
    shell = commands.add_parser("shell", help="a shell in it")
    shell.add_argument("place", nargs="?", choices=PLACES, default="host")
    shell.set_defaults(act=_shell)
    arguments = parser.parse_args()
    arguments.act(arguments)


def _up(arguments: argparse.Namespace) -> None:
    if Bed.attach():
        raise SystemExit("a bed is up already; `python -m tests.bed down` removes it")
    with Bed.up(keep=True, sidecar=arguments.sidecar) as bed:
        site = bed.wordpress(log=arguments.log, fpm=arguments.fpm)
    _show(bed, site)


def _show(bed: Bed, site: Site) -> None:
    print(f"""
WordPress  {site.url}  {site.url6}   (logins {" / ".join(ADMIN)}, {" / ".join(EDITOR)})
Docker     export DOCKER_HOST={bed.engine.base_url}
Host       nsenter --net={bed.host.netns} nft list ruleset
Attacker   nsenter --net={bed.attacker.netns} curl --interface {bed.attacker.v4[0]} {site.url}
Shells     python -m tests.bed shell [host|attacker|attacker2|visitor]
End        python -m tests.bed down""")


def _down(_: argparse.Namespace) -> None:
    print("removed" if down() else NONE)


def _status(_: argparse.Namespace) -> None:
    bed = Bed.attach()
    if not bed:
        raise SystemExit(NONE)
    print(f"bed {NAME}: host {HOST.v4[0]} {HOST.v6[0]}, {bed.engine.base_url}")
    print(bed.engine.cli("ps", "--all", f"--format={COLUMNS}").stdout, end="")


def _shell(arguments: argparse.Namespace) -> None:
    bed = Bed.attach()
    if not bed:
        raise SystemExit(NONE)
    place = getattr(bed, arguments.place)
    argv = place.command([os.environ.get("SHELL", "/bin/bash")])
    os.execvpe(argv[0], argv, {**bed.engine.env, "PS1": f"{place.name}# "})  # noqa: S606


if __name__ == "__main__":
    main()
