"""Servers in front of the backend, each with the access logs that people have of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.servers.programs import program

PORT, HTTP2_PORT, BACKEND = 8000, 8001, 9000


@dataclass(frozen=True)
class Log:
    """An access log. `setting` is the line of the server's configuration that people paste as `logformat`."""

    name: str
    path: Path
    setting: str = ""
    # Whether it cannot be read without the setting.
    is_opaque: bool = False
    # The command that writes the whole of it, where the server has programs for its logs.
    writer: tuple[str, ...] = ()

    def read(self) -> bytes:
        if self.writer:
            subprocess.run(self.writer, check=True, capture_output=True, timeout=60)
        return self.path.read_bytes() if self.path.exists() else b""


@dataclass(frozen=True)
class Server:
    """A server that listens on `PORT` at every address. `http2_port` takes HTTP/2 without TLS."""

    command: list[str]
    logs: Sequence[Log]
    http2_port: int | None = None


APACHE = {
    "common": '%h %l %u %t "%r" %>s %O',
    "combined": '%h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"',
    "vhost_combined": '%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"',
    "host first": '%{Host}i %h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %D',
    "forwarded": '%h "%{X-Forwarded-For}i" %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"',
    "json": '{"time":"%{%Y-%m-%dT%T%z}t","remoteIP":"%a","host":"%V","request":"%U","query":"%q","method":"%m",'
    '"status":"%>s","userAgent":"%{User-agent}i","referer":"%{Referer}i"}',
}


def apache(folder: Path) -> Server:
    modules = ("mpm_event", "authz_core", "proxy", "proxy_http", "http2")
    lines = [f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in modules]
    lines += [
        f"Listen {PORT}",
        "ServerName blog.example.com",
        f"PidFile {folder}/pid",
        f"DefaultRuntimeDir {folder}",
        f"ErrorLog {folder}/apache2.said",
        "User www-data",
        "Protocols h2c http/1.1",
        f'ProxyPass "/" "http://127.0.0.1:{BACKEND}/" nocanon',
        "ProxyPreserveHost On",
        "AllowEncodedSlashes NoDecode",
    ]
    logs = []
    for number, (name, form) in enumerate(APACHE.items()):
        setting = f'LogFormat "{form.replace(chr(34), chr(92) + chr(34))}" form{number}'
        path = folder / f"{number}.log"
        lines += [setting, f"CustomLog {path} form{number}"]
        logs.append(Log(name, path, setting))
    return Server(
        [program("apache2"), "-DFOREGROUND", "-f", _write(folder / "apache.conf", lines)], logs, PORT
    )


_NGINX_REST = '[$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'
NGINX = {
    "main": f"""'$remote_addr - $remote_user {_NGINX_REST} "$http_x_forwarded_for"'""",
    "host first": f"'$host $remote_addr - $remote_user {_NGINX_REST} $request_time'",
    "bars": '\'$time_iso8601 | $remote_addr | $host | "$request" | $status | $body_bytes_sent | $request_time | '
    '"$http_referer" | "$http_user_agent"\'',
    "tabs": r"""'$time_iso8601\t$remote_addr\t$request_method\t$host\t$request_uri\t$status\t$http_user_agent'""",
    "logfmt": '\'time=$time_iso8601 client=$remote_addr method=$request_method request="$request" status=$status '
    'ua="$http_user_agent"\'',
    "json": """escape=json '{"time":"$time_iso8601","remote_addr":"$remote_addr","x_forwarded_for":"$http_x_forwarded_for",'
    '"host":"$host","request_method":"$request_method","request_uri":"$request_uri","status":$status,'
    '"http_user_agent":"$http_user_agent","http_referrer":"$http_referer","user":"$remote_user"}'""",
    "json without its escapes": """'{"time":"$time_iso8601","remote_addr":"$remote_addr","request":"$request","status":"$status",'
    '"http_user_agent":"$http_user_agent"}'""",
}


def nginx(folder: Path) -> Server:
    logs = [Log("combined", folder / "combined.log")]
    formats, uses = [], [f"access_log {logs[0].path};"]
    for number, (name, form) in enumerate(NGINX.items()):
        setting = f"log_format form{number} {form};"
        logs.append(Log(name, folder / f"{number}.log", setting, is_opaque=name == "tabs"))
        formats.append(setting)
        uses.append(f"access_log {logs[-1].path} form{number};")
    lines = [
        "daemon off; user root; worker_processes 1; events {}",
        f"pid {folder}/pid; error_log {folder}/nginx.said;",
        "http {",
        *formats,
        *uses,
        "large_client_header_buffers 4 16k;",
        "server {",
        f"listen [::]:{PORT} ipv6only=off; listen [::]:{HTTP2_PORT} ipv6only=off http2;",
        f"location / {{ proxy_pass http://127.0.0.1:{BACKEND}; proxy_set_header Host $http_host; }}",
        "} }",
    ]
    return Server([program("nginx"), "-c", _write(folder / "nginx.conf", lines)], logs, HTTP2_PORT)


HAPROXY_CUSTOM = "log-format '%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r'"
HAPROXY_JSON = """log-format '{"time":"%t","client":"%ci","method":"%HM","uri":"%HU","status":%ST}'"""
HAPROXY_CAPTURES = (
    "option httplog\ncapture request header Host len 64\ncapture request header User-Agent len 128\n"
    "capture cookie S len 32\ncapture response header Content-Type len 20"
)


def haproxy(setting: str, framing: str, folder: Path, pasted: str = "") -> Server:
    """It logs to stdout, as the official image is told to."""
    lines = [
        "defaults", "mode http", "timeout client 5s", "timeout server 5s", "timeout connect 2s",
        "frontend web", f"bind :::{PORT} v4v6", f"bind :::{HTTP2_PORT} v4v6 proto h2",
        f"log stdout len 8192 format {framing} local0", setting, "default_backend site",
        "backend site", "option forwardfor", f"server wp1 127.0.0.1:{BACKEND}",
    ]  # fmt: skip
    command = [program("haproxy"), "-db", "-f", _write(folder / "haproxy.cfg", lines)]
    return Server(command, [Log("stdout", folder / "haproxy.said", pasted)], HTTP2_PORT)


def lighttpd(form: str, folder: Path) -> Server:
    path = folder / "access.log"
    setting = f'accesslog.format = "{form.replace(chr(34), chr(92) + chr(34))}"' if form else ""
    lines = [
        'server.modules = ("mod_accesslog", "mod_proxy")', 'server.document-root = "/tmp"',
        f'server.errorlog = "{folder}/lighttpd.said"', f"server.port = {PORT}", 'server.bind = "[::]"',
        'server.set-v6only = "disable"', f'accesslog.filename = "{path}"', setting,
        f'proxy.server = ("" => (("host" => "127.0.0.1", "port" => {BACKEND})))',
    ]  # fmt: skip
    command = [program("lighttpd"), "-D", "-f", _write(folder / "lighttpd.conf", lines)]
    return Server(command, [Log("log", path, setting)], PORT)


VARNISH = {
    "default": "",
    "host first": '%{Host}i %h %l %u %t "%r" %s %b "%{Referer}i" "%{User-agent}i"',
    "with more": '%h %l %u %t "%r" %s %b "%{Referer}i" "%{User-agent}i" %{Varnish:hitmiss}x %{Varnish:time_firstbyte}x %D',
    "json": '{"timestamp":"%{%Y-%m-%dT%H:%M:%SZ}t","client":"%h","method":"%m","url":"%U","query":"%q","status":%s,'
    '"host":"%{Host}i","ua":"%{User-Agent}i"}',
}


def varnish(folder: Path) -> Server:
    vcl = [
        "vcl 4.1;",
        f'backend default {{ .host = "127.0.0.1"; .port = "{BACKEND}"; }}',
        "sub vcl_recv { return (pass); }",
    ]
    work = folder / "work"
    command = [
        program("varnishd"), "-F", "-j", "none", "-T", "none", "-a", f":{PORT}", "-n", str(work),
        "-f", _write(folder / "site.vcl", vcl), "-s", "malloc,64m", "-p", "feature=+http2", "-p", "vsl_reclen=4k",
    ]  # fmt: skip
    logs = []
    for number, (name, form) in enumerate(VARNISH.items()):
        path = folder / f"{number}.log"
        writer = (
            program("varnishncsa"),
            "-d",
            "-n",
            str(work),
            "-w",
            str(path),
            *(("-F", form) if form else ()),
        )
        # A host with blanks, which Varnish takes, is in no format that is pasted: it has to be in quotes there.
        is_pasted = form and name != "host first"
        logs.append(Log(name, path, f"varnishncsa -F '{form}'" if is_pasted else "", writer=writer))
    return Server(command, logs, PORT)


CADDY = {
    "json": {"format": "json"},
    "console": {"format": "console"},
    "json, iso8601": {"format": "json", "time_format": "iso8601", "duration_format": "string"},
    "json, wall": {"format": "json", "time_format": "wall", "level_format": "upper"},
}


def caddy(folder: Path) -> Server:
    logs = [Log(name, folder / f"{number}.log") for number, name in enumerate(CADDY)]
    settings = caddy_settings(
        f":{PORT}", f"127.0.0.1:{BACKEND}", {log.name: (log.path, CADDY[log.name]) for log in logs}
    )
    return Server([program("caddy"), "run", "--config", _json(folder / "caddy.json", settings)], logs, PORT)


def caddy_settings(
    listen: str, site: str, logs: Mapping[str, tuple[Path, Mapping[str, str]]]
) -> dict[str, Any]:
    """Return Caddy's configuration; each log has a file and an encoder."""
    writers = {
        name: {
            "writer": {"output": "file", "filename": str(path), "roll": False},
            "encoder": encoder,
            "include": ["http.log.access.all"],
        }
        for name, (path, encoder) in logs.items()
    }
    server = {
        "listen": [listen],
        "automatic_https": {"disable": True},
        "protocols": ["h1", "h2", "h2c"],
        "logs": {"default_logger_name": "all", "should_log_credentials": True},
        "routes": [{"handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": site}]}]}],
    }
    return {
        "admin": {"disabled": True},
        "logging": {"logs": writers},
        "apps": {"http": {"servers": {"all": server}}},
    }


def traefik(form: str, folder: Path) -> Server:
    path = folder / "access.log"
    routes = folder / "routes.yml"
    _json(routes, traefik_routes(f"127.0.0.1:{BACKEND}", with_users=True))
    return Server(traefik_command(routes, f":{PORT}", form, path), [Log(form, path)], PORT)


def traefik_routes(site: str, *, with_users: bool = False) -> dict[str, Any]:
    """Return Traefik's routes; `with_users`, it asks who sends a password for it itself, and logs any user name."""
    with_password = {
        "rule": "HeaderRegexp(`Authorization`, `^Basic`)",
        "service": "site",
        "middlewares": ["password"],
    }
    return {
        "http": {
            "routers": {
                "all": {"rule": "PathPrefix(`/`)", "service": "site"},
                **({"some": with_password} if with_users else {}),
            },
            "middlewares": {
                "password": {"basicAuth": {"users": ["ann:$apr1$ruca84Hq$mbjdMZBAG.KWn7vfN/SNK/"]}}
            },
            "services": {"site": {"loadBalancer": {"servers": [{"url": f"http://{site}"}]}}},
        }
    }


def traefik_command(routes: Path, listen: str, form: str, log: Path) -> list[str]:
    """Return the command of a Traefik that logs all headers."""
    return [
        program("traefik"), f"--providers.file.filename={routes}", f"--entrypoints.web.address={listen}",
        "--accesslog=true", f"--accesslog.format={form}", f"--accesslog.filepath={log}",
        "--accesslog.fields.headers.defaultmode=keep",
        "--global.checknewversion=false", "--global.sendanonymoususage=false",
    ]  # fmt: skip


# Istio's and Envoy Gateway's usual names.
ENVOY_JSON = {
    "start_time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "response_code": "%RESPONSE_CODE%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "user_agent": "%REQ(USER-AGENT)%",
    "authority": "%REQ(:AUTHORITY)%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "downstream_direct_remote_address": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
    "upstream_host": "%UPSTREAM_HOST%",
}


def envoy(folder: Path) -> Server:
    json_log = Log("json", folder / "json.log")
    default = Log("default", folder / "default.log", is_opaque=True)
    types = "type.googleapis.com/envoy.extensions"
    manager = {
        "@type": f"{types}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "web",
        "codec_type": "AUTO",
        "use_remote_address": True,
        "http_protocol_options": {"accept_http_10": True},
        "access_log": [
            _envoy_log(types, json_log, log_format={"json_format": ENVOY_JSON}),
            _envoy_log(types, default),
        ],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "site"}}],
                }
            ]
        },
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{types}.filters.http.router.v3.Router"}}
        ],
    }
    listener = {
        "address": _envoy_address("::", PORT, ipv4_compat=True),
        "filter_chains": [{"filters": [{"name": "web", "typed_config": manager}]}],
    }
    endpoint = {"endpoint": {"address": _envoy_address("127.0.0.1", BACKEND)}}
    cluster = {
        "name": "site",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "site", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    settings = {"static_resources": {"listeners": [listener], "clusters": [cluster]}}
    command = [
        program("envoy"), "-c", _json(folder / "envoy.json", settings), "--concurrency", "1", "-l", "error",
        "--file-flush-interval-msec", "100",
    ]  # fmt: skip
    return Server(command, [json_log, default], PORT)


def _envoy_log(types: str, log: Log, **more: object) -> dict[str, Any]:
    kind = f"{types}.access_loggers.file.v3.FileAccessLog"
    return {"name": log.name, "typed_config": {"@type": kind, "path": str(log.path), **more}}


def _envoy_address(address: str, port: int, **more: bool) -> dict[str, Any]:
    return {"socket_address": {"address": address, "port_value": port, **more}}


def nghttpx(folder: Path) -> Server:
    log = Log("default", folder / "access.log")
    command = [
        program("nghttpx"), "--conf=/dev/null", f"-f*,{PORT};no-tls", f"-b127.0.0.1,{BACKEND}", "-n1",
        f"--accesslog-file={log.path}", f"--errorlog-file={folder}/nghttpx.said",
    ]  # fmt: skip
    return Server(command, [log], PORT)


KINDS: dict[str, Callable[[Path], Server]] = {
    "apache": apache,
    "nginx": nginx,
    "haproxy, httplog": partial(haproxy, "option httplog", "raw"),
    "haproxy, clf": partial(haproxy, "option httplog clf", "raw"),
    "haproxy, captures": partial(haproxy, HAPROXY_CAPTURES, "rfc3164"),
    "haproxy, json": partial(haproxy, HAPROXY_JSON, "rfc5424"),
    "haproxy, custom": partial(haproxy, HAPROXY_CUSTOM, "raw", pasted=HAPROXY_CUSTOM),
    "lighttpd": partial(lighttpd, ""),
    "lighttpd, combined": partial(lighttpd, '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %D'),
    "varnish": varnish,
    "caddy": caddy,
    "traefik, common": partial(traefik, "common"),
    "traefik, json": partial(traefik, "json"),
    "envoy": envoy,
    "nghttpx": nghttpx,
}


def _write(path: Path, lines: Sequence[str]) -> str:
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def _json(path: Path, value: object) -> str:
    path.write_text(json.dumps(value))
    return str(path)
