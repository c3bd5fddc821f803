"""A WordPress site in containers, with its database already installed."""

import time
from dataclasses import dataclass
from typing import Literal

from tests.bed.engine import Engine
from tests.bed.network import HOST, Place

Log = Literal["access", "plugin"]

ADMIN = ("admin", "admin-secret")
EDITOR = ("editor", "editor-secret")

# What users of WP fail2ban put into WORDPRESS_CONFIG_EXTRA; the image's stand-in for it listens to the same.
PLUGIN = "define('WP_FAIL2BAN_OPENLOG_OPTIONS', LOG_PID|LOG_NDELAY|LOG_PERROR);"


@dataclass(frozen=True)
class Site:
    """A running site. `container` writes the access log, `php` PHP's messages; with php-fpm they are two."""

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
    run = ["run", "--detach", f"--network={name}", "--restart=unless-stopped"]
    engine.cli(*run, f"--name={name}-db", "--network-alias=db", "mariadb:11-seeded")
    wordpress = [
        "--env=WORDPRESS_DB_HOST=db",
        "--env=WORDPRESS_DB_USER=wordpress",
        "--env=WORDPRESS_DB_PASSWORD=wordpress",
        "--env=WORDPRESS_DB_NAME=wordpress",
        *([f"--env=WORDPRESS_CONFIG_EXTRA={PLUGIN}"] if log == "plugin" else []),
        *(f"--label={key}={value}" for key, value in labels.items()),
        *options,
    ]
    publish = f"--publish={port}:80"
    if fpm:
        engine.cli(*run, f"--name={name}-php", "--network-alias=wordpress", *wordpress, "wordpress:fpm")
        engine.cli(*run, f"--name={name}", publish, "nginx:1.26")
    else:
        engine.cli(*run, f"--name={name}", publish, *wordpress, "wordpress:apache")
    site = Site(engine, name, port, container=name, php=f"{name}-php" if fpm else name)
    wait(site, host)
    return site


def wait(site: Site, host: Place, patience: float = 240) -> None:
    """Waits until the database answers, and then the login page: its log shall not begin with errors."""
    deadline = time.monotonic() + patience
    for answers in (_database, _login_page):
        while not answers(site, host):
            if time.monotonic() > deadline:
                end = "".join(site.logs("--tail=5"))
                raise TimeoutError(f"{site.name}: {answers.__name__[1:]} not there after {patience} s\n{end}")
            time.sleep(0.05)


def _database(site: Site, _: Place) -> bool:
    return not site.engine.cli("exec", f"{site.name}-db", "healthcheck.sh", check=False).returncode


def _login_page(site: Site, host: Place) -> bool:
    probe = ["curl", "--silent", "--fail", "--max-time", "30", "--output", "/dev/null"]
    return not host.run([*probe, f"{site.url}/wp-login.php"], check=False, timeout=60).returncode
