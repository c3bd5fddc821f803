"""People on the bed's Internet: an attacker, a visitor. Each can speak HTTP from any of his addresses."""

import http.client
import subprocess
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.bed.network import Place
from tests.bed.wordpress import Site

STATIC = "/wp-includes/css/buttons.css"  # served without PHP


class Connection:
    """One connection, kept open between requests. (Apache closes it after 5 idle seconds.)"""

    def __init__(self, http_connection: http.client.HTTPConnection) -> None:
        self._http = http_connection

    def get(self, path: str = STATIC) -> int:
        """The status; raises OSError (TimeoutError) where nothing comes back."""
        return self.request("GET", path)

    def request(
        self, method: str, path: str, body: str = "", headers: Mapping[str, str] | None = None
    ) -> int:
        if self._http.sock is None:  # else http.client would quietly open another
            raise ConnectionError("the connection is closed")
        self._http.request(method, path, body, dict(headers or {}))
        response = self._http.getresponse()
        response.read()
        return response.status

    def close(self) -> None:
        self._http.close()


class Client(Place):
    """Someone on the Internet."""

    def login(
        self, site: Site, user: str, password: str, source: str | None = None, timeout: float = 30
    ) -> int:
        """The status of a login: 302 if it is right, 200 if not. A TimeoutError where packets are dropped."""
        form = {"log": user, "pwd": password, "wp-submit": "Log In", "testcookie": "1"}
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": "wordpress_test_cookie=WP%20Cookie%20check",
            "User-Agent": "Mozilla/5.0 (bed)",
        }
        body = urllib.parse.urlencode(form)
        return self._once(site, source, timeout, "POST", "/wp-login.php", body, headers)

    def get(self, site: Site, path: str = STATIC, source: str | None = None, timeout: float = 30) -> int:
        """The status of a request on a new connection. A TimeoutError where packets are dropped."""
        return self._once(site, source, timeout, "GET", path, "", {"User-Agent": "Mozilla/5.0 (bed)"})

    def is_dropped(self, site: Site, source: str) -> bool:
        """Return whether nothing comes back any more."""
        try:
            self.get(site, source=source, timeout=1)
        except TimeoutError:
            return True
        return False

    def keepalive(self, site: Site, source: str | None = None, timeout: float = 3) -> Connection:
        """An open connection, over which one request has already gone well."""
        connection = self._connect(site, source, timeout)
        connection.get()
        return connection

    def hydra(
        self,
        site: Site,
        passwords: Sequence[str],
        *,
        user: str = "admin",
        ipv6: bool = False,
        tasks: int = 4,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Lets hydra guess at wp-login.php. It never gives up when packets vanish: `timeout` ends it."""
        with tempfile.TemporaryDirectory() as folder:
            limit = ["timeout", "--kill-after=2", str(timeout)]
            argv = [*limit, *_hydra(site, passwords, Path(folder), user=user, ipv6=ipv6, tasks=tasks)]
            return self.run(argv, check=False, timeout=timeout + 60, cwd=Path(folder))

    @contextmanager
    def guessing(self, site: Site, passwords: Sequence[str], *, ipv6: bool = False) -> Iterator[None]:
        """Lets hydra guess as long as the `with` lasts."""
        with tempfile.TemporaryDirectory() as folder:
            argv = _hydra(site, passwords, Path(folder), ipv6=ipv6)
            hydra = self.popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
            try:
                yield
            finally:
                hydra.terminate()
                hydra.wait(60)

    def _once(  # noqa: PLR0917 - it is a request
        self,
        site: Site,
        source: str | None,
        timeout: float,
        method: str,
        path: str,
        body: str,
        headers: Mapping[str, str],
    ) -> int:
        connection = self._connect(site, source, timeout)
        try:
            return connection.request(method, path, body, {**headers, "Connection": "close"})
        finally:
            connection.close()

    def _connect(self, site: Site, source: str | None, timeout: float) -> Connection:
        source = source or self.v4[0]
        target = site.v6 if ":" in source else site.v4
        connection = http.client.HTTPConnection(target, site.port, timeout, source_address=(source, 0))
        self.within(connection.connect)  # the socket is made there, and may then be used from here
        return Connection(connection)


def _hydra(
    site: Site,
    passwords: Sequence[str],
    folder: Path,
    *,
    user: str = "admin",
    ipv6: bool = False,
    tasks: int = 4,
) -> list[str]:
    """The command; it writes to the folder, and reads the passwords there."""
    guesses = folder / "passwords"
    guesses.write_text("".join(f"{each}\n" for each in passwords))
    form = "/wp-login.php:log=^USER^&pwd=^PASS^&wp-submit=Log+In&testcookie=1:S=Location"
    family = ["-6"] if ipv6 else []
    options = ["-I", *family, "-l", user, "-P", str(guesses), "-t", str(tasks), "-s", str(site.port)]
    return ["hydra", *options, site.v6 if ipv6 else site.v4, "http-post-form", form]
