"""A WordPress site in containers, with its database already installed."""

import subprocess
import time
from dataclasses import dataclass
from typing import Literal

from tests.bed.engine import Engine
from tests.bed.network import HOST, Place

Log = Literal["access", "plugin"]

ADMIN = ("admin", "admin-secret")
EDITOR = ("editor", "editor-secret")

# What users of WP fail2ban put into WORDPRESS_CONFIG_EXTRA; the stand-in for it in the image listens to the same.
PLUGIN = "define('WP_FAIL2BAN_OPENLOG_OPTIONS', LOG_PID|LOG_NDELAY|LOG_PERROR);"


@dataclass(frozen=True)
class Site:
    """A running site. `container` writes the access log; with php-fpm `php` is another, and writes PHP's messages."""

    engine: Engine
    name: str
    port: int
    container: str
    php: str
    v4: str = HOST.v4[0]
    v6: str = HOST.v6[0]

    @property
    def url(self) -> str:
        return f"http://{self.v4}:{self.port}"

    @property
    def url6(self) -> str:
        return f"http://[{self.v6}]:{self.port}"

    def logs(self, *options: str) -> tuple[str, str]:
        """What the container wrote to its standard output, and to its standard error."""
        done = self.engine.cli("logs", *options, self.container)
        return done.stdout, done.stderr


def start(
    engine: Engine,
    host: Place,
    *,
    name: str,
    port: int,
    log: Log,
    ipv6: bool,
    fpm: bool,
    labels: dict[str, str],
    options: tuple[str, ...],
) -> Site:
    """Starts the containers and waits until pages come."""
    subnet = ["--ipv6", f"--subnet=fd00:6:{port:x}::/64"] if ipv6 else []
    engine.cli("network", "create", *subnet, name)
    restart = "--restart=unless-stopped"
    engine.cli("run", "--detach", f"--name={name}-db", f"--network={name}", "--network-alias=db", restart, "mariadb:11-seeded")
    wordpress = [
        "--env=WORDPRESS_DB_HOST=db",
        "--env=WORDPRESS_DB_USER=wordpress",
        "--env=WORDPRESS_DB_PASSWORD=wordpress",
        "--env=WORDPRESS_DB_NAME=wordpress",
        *([f"--env=WORDPRESS_CONFIG_EXTRA={PLUGIN}"] if log == "plugin" else []),
        *(f"--label={key}={value}" for key, value in labels.items()),
        *options,
    ]
    run = ["run", "--detach", f"--network={name}", restart]
    publish = f"--publish={port}:80"
    if fpm:
        engine.cli(*run, f"--name={name}-php", "--network-alias=wordpress", *wordpress, "wordpress:fpm")
        engine.cli(*run, f"--name={name}", publish, "nginx:1.26")
    else:
        engine.cli(*run, f"--name={name}", publish, *wordpress, "wordpress:apache")
    site = Site(engine, name, port, container=name, php=f"{name}-php" if fpm else name)
    wait(site, host)
    return site


def wait(site: Site, host: Place, patience: float = 60) -> None:
    """Waits until the database answers, and then the login page: its log shall not begin with errors."""
    deadline = time.monotonic() + patience
    while site.engine.cli("exec", f"{site.name}-db", "healthcheck.sh", check=False).returncode and time.monotonic() < deadline:
        time.sleep(0.05)
    url = f"{site.url}/wp-login.php"
    probe = ["curl", "--silent", "--max-time", "5", "--output", "/dev/null", "--write-out", "%{http_code}", url]
    status = ""
    while status != "200":
        if time.monotonic() > deadline:
            raise TimeoutError(f"{site.name}: no login page after {patience:.0f} s, last answer {status or 'none'}; {_end(site)}")
        time.sleep(0.05)
        try:
            status = host.run(probe, check=False, timeout=10).stdout
        except subprocess.TimeoutExpired:
            continue


def _end(site: Site) -> str:
    out, err = site.logs("--tail=5")
    return f"its log ends: {out}{err}"
