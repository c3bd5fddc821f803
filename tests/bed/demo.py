"""`make demo`: a WordPress under attack, and what wp-sidecar makes of it. Ends with exit code 1 if it makes nothing of it."""

import json
import sys
import textwrap
import time
from collections.abc import Callable

from tests.bed import ADMIN, Bed, Client, Site
from tests.bed.sidecar import Sidecar
from tests.support.waiting import wait_until

GUESSES = [f"password{n}" for n in range(30)]


def main() -> None:
    began = time.monotonic()
    step("A private host in network namespaces: Docker, WordPress, an attacker and a visitor on its Internet")
    with Bed.up(sidecar=True) as bed:
        site = bed.wordpress(log="access")
        sidecar = Sidecar(bed, {"SLACK_WEBHOOK_URL": bed.webhook.url})
        show(bed.engine.cli("ps", "--format", "table {{.Names}}\t{{.Image}}\t{{.Status}}").stdout)
        attack(bed, site, sidecar)
        banned(bed, sidecar)
        outcome(bed, site)
        alert(bed)
        step("$ wp-sidecar unban --all")
        show(sidecar.command("unban", "--all"))
        say(f"attacker  GET /   {answer(bed.attacker, site, bed.attacker.v4[0])}")
        sidecar.remove()
    step(f"Done in {time.monotonic() - began:.0f} s; nothing of it is left")


def attack(bed: Bed, site: Site, sidecar: Sidecar) -> None:
    for client, address in ((bed.attacker, site.v4), (bed.attacker2, site.v6)):
        step(f"$ hydra -l admin -P passwords … {address} http-post-form /wp-login.php:…")
        before = len(sidecar.bans())
        with client.guessing(site, GUESSES, ipv6=":" in address):
            wait_until(lambda before=before: len(sidecar.bans()) > before)  # type: ignore[misc]
        say("banned; hydra found nothing, and was ended")
    step("$ docker logs site | grep 'POST /wp-login.php'")
    guesses = [line for line in site.logs()[0].splitlines() if '"POST ' in line]
    show("\n".join(line[:110] for line in guesses))
    say(f"{len(guesses)} of {2 * len(GUESSES)} guesses were answered")


def banned(bed: Bed, sidecar: Sidecar) -> None:
    step("$ wp-sidecar bans")
    show(sidecar.command("bans"))
    step("$ nft list table inet wp_sidecar")
    show(bed.host.run(["nft", "list", "table", "inet", "wp_sidecar"]).stdout)


def outcome(bed: Bed, site: Site) -> None:
    step("Who still gets an answer?")
    attacker, attacker6 = (
        answer(bed.attacker, site, bed.attacker.v4[0]),
        answer(bed.attacker2, site, bed.attacker2.v6[0]),
    )
    visitor = answer(bed.visitor, site, bed.visitor.v4[0])
    visitor6 = answer(bed.visitor, site, bed.visitor.v6[0])
    login = bed.visitor.login(site, *ADMIN)
    say(f"attacker  GET /   {attacker} over IPv4, {attacker6} over IPv6")
    say(f"visitor   GET /   {visitor} over IPv4, {visitor6} over IPv6")
    say(f"visitor   logs in with the right password: {login}")
    if [attacker, attacker6, visitor, visitor6, login] != ["no answer", "no answer", "200", "200", 302]:
        sys.exit("demo: that is not what should have happened")


def alert(bed: Bed) -> None:
    step("The alert, as a webhook of Slack's kind receives it")
    posts = until_posted(bed, lambda text: "Banned" in text)
    show(json.dumps(posts, indent=2))


def until_posted(bed: Bed, wanted: Callable[[str], bool]) -> object:
    wait_until(lambda: any(wanted(post.body["text"]) for post in bed.webhook.posts))
    return next(post.body for post in bed.webhook.posts if wanted(post.body["text"]))


def answer(client: Client, site: Site, source: str) -> str:
    try:
        return str(client.get(site, source=source, timeout=2))
    except TimeoutError:
        return "no answer"


def step(title: str) -> None:
    sys.stdout.write(f"\n\033[1m{title}\033[0m\n" if sys.stdout.isatty() else f"\n== {title}\n")
    sys.stdout.flush()


def show(text: str) -> None:
    sys.stdout.write(textwrap.indent(text.rstrip() + "\n", "    "))
    sys.stdout.flush()


def say(text: str) -> None:
    show(text)


if __name__ == "__main__":
    main()
