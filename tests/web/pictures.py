"""Draws the pictures of the docs, of made-up data: `python -m tests.web.pictures`. It needs Chromium and its driver."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path
from unittest.mock import patch

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys

from sidecar.advice.finding import Finding
from sidecar.core.address import Address
from sidecar.core.events import Ban, Hit, Origin, Turn, Unban
from sidecar.web.activity import SLOT_S, Activity
from sidecar.web.doctor import Checkup
from tests.cli.answering import STATUS
from tests.support.paths import ROOT
from tests.web import served as serving
from tests.web.served import TOKEN, Commands, Firewall, Looked, served

IMAGES = ROOT / "docs" / "images"
NOW = time.time()
DAY_S = 86_400.0
# (container, format, ports, lines, age of the last line, labels)
SITES = (
    ("blog", "combined", [80, 443], 48_212, 3, ()),
    ("shop", "Traefik's JSON", [443], 91_544, 1, ("wp-sidecar.maxretry=10",)),
    ("members-nginx", "combined", [8443], 12_090, 42, ("wp-sidecar.mode=observe",)),
)
JAILS = (
    ("wordpress-access", 5, 600.0, 3_600.0, 812),
    ("wordpress", 3, 10_800.0, 86_400.0, 64),
    ("wordpress-probes", 10, 600.0, 3_600.0, 231),
)
BANS = (
    ("203.0.113.24", "wordpress-access", "blog", 5, 0.4, 1_284),
    ("198.51.100.77", "wordpress-access", "shop", 5, 0.9, 312),
    ("2001:db8:42:7::/64", "wordpress-probes", "shop", 10, 1.2, 96),
    ("203.0.113.91", "wordpress", "blog", 3, 3.5, 58_120),
    ("192.0.2.0/24", "wordpress-access", "blog", 36, 5.0, 7_402),
    ("198.51.100.9", "wordpress-probes", "members-nginx", 10, 6.1, 40),
)


def jail(
    name: str, maxretry: int, findtime: float, bantime: float, failures: int, **more: object
) -> dict[str, object]:
    return STATUS["jails"][0] | {
        "name": name, "maxretry": maxretry, "findtime": findtime, "bantime": bantime, "failures": failures,
        "active": sum(each[1] == name for each in BANS), **more,
    }  # fmt: skip


def commands() -> Commands:
    """Return answers of a host with three sites."""
    jails = [jail(*each) for each in JAILS]
    streams = [
        {
            "container": name, "state": "open", "format": form, "read": lines, "understood": lines, "last": NOW - age,
            "ports": ports,
            "jails": [each | {"maxretry": 10 if "wp-sidecar.maxretry=10" in labels else each["maxretry"],
                              "mode": "observe" if "wp-sidecar.mode=observe" in labels else "enforce"} for each in jails[:2]],
        }
        for name, form, ports, lines, age, labels in SITES
    ]  # fmt: skip
    made = Commands(
        count=0, streams=streams, jails=jails, bans=len(BANS), started=NOW - 9.4 * DAY_S,
        labels={name: list(labels) for name, *_, labels in SITES if labels},
        allowlist=[{"reason": "CDN cloudflare", "ipv4": 0.0004, "ipv6": 0.0}],
        health={"live": True, "ready": True, "why": []},
    )  # fmt: skip
    made.bans = [
        {
            "ip": ip, "jail": name, "at": NOW - hours * 3_600, "until": NOW + (24 - hours) * 3_600, "cause": "failures",
            "failures": failures, "site": site, "reason": "", "times": 1, "observed": False, "evidence": [],
            "dropped": dropped, "last_dropped": NOW - 9,
        }
        for ip, name, site, failures, hours, dropped in BANS
    ]  # fmt: skip
    made.allowed = [
        {"ip": "192.0.2.10", "at": NOW - 3_600, "until": NOW + 7 * 3_600, "comment": "web: the office"}
    ]
    made.doctor = Looked("shop")
    own = "its log has the clients' own addresses"
    made.doctor.checkup = Checkup(
        (
            Finding("host", ok=True, sentence="the daemon answers: 6 banned, 0 dry runs"),
            Finding("host", ok=True, sentence="the nftables table is in force (Linux 6.1.0)"),
            Finding("host", ok=True, sentence="the clock agrees with Docker's"),
            Finding("host", ok=True, sentence="slack reaches hooks.slack.com:443; nothing was sent"),
            Finding("blog", ok=True, sentence=f"{own} (1998 of 2000 requests)"),
            Finding("blog", ok=True, sentence="bans close the ports that lead to it: 80, 443"),
            Finding("shop", ok=True, sentence=f"{own} (2000 of 2000 requests)"),
            Finding("shop", ok=True, sentence="bans close the ports that lead to it: 443"),
            Finding(
                "members-nginx", ok=False,
                sentence="of 1,204 requests 1,198 have a container network as their client, which is never banned",
                change="Have the web server log the client that its proxy names: nginx `set_real_ip_from` and "
                "`real_ip_header X-Forwarded-For;`",
            ),
        ),
        NOW - 75,
    )  # fmt: skip
    return made


def activity() -> Activity:
    """Return a day with two waves of attacks."""
    chance, made = random.Random(7), Activity(Firewall(), NOW - DAY_S)
    origin = Origin("docker", "blog")
    for slot in range(144):
        at = NOW - DAY_S + (slot + 1) * SLOT_S
        wave = 60 * (30 < slot < 42) + 90 * (101 < slot < 118)
        for ip, name, _, failures, hours, _ in BANS:
            if at - SLOT_S < NOW - hours * 3_600 <= at:
                made.apply(Turn(at, (Ban(name, Address(ip), at, at + 60, f"{failures} failures"),)))
        hits = chance.randrange(4) + (chance.randrange(wave) if wave else 0)
        made.apply(
            Turn(at, (), tuple(Hit("wordpress", Address("203.0.113.7"), at, origin, "") for _ in range(hits)))
        )
        for _ in range(hits // 12):
            made.apply(Turn(at, (Ban("wordpress", Address("203.0.113.7"), at, at + 60, "failures"),)))
        for _ in range(hits):
            made.run(None, at)  # type: ignore[arg-type]
    made.apply(Turn(NOW - 240, (Unban("wordpress", Address("198.51.100.3"), NOW, "web"),)))
    return made


def draw(folder: Path) -> None:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for option in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
    ):
        options.add_argument(option)
    browser = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        with patch.object(serving, "activity", activity), served(commands(), TOKEN) as address:
            picture(browser, address, folder / "status-page.png", (1180, 1850), "light")
            picture(browser, address, folder / "status-page-dark.png", (1180, 1850), "dark")
            picture(browser, address, folder / "status-page-phone.png", (390, 1500), "light")
            browser.get(f"{address}/login")
            browser.find_element("name", "token").send_keys(TOKEN, Keys.ENTER)
            picture(browser, f"{address}/#changes", folder / "status-page-forms.png", (1180, 760), "light")
    finally:
        browser.quit()


def picture(browser: webdriver.Chrome, address: str, file: Path, size: tuple[int, int], scheme: str) -> None:
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(address)
    browser.save_screenshot(str(file))


if __name__ == "__main__":
    draw(IMAGES)
