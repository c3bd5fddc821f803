"""A site's traffic, and the access logs that servers and proxies write of it.

`LAYOUTS` has layouts as people configure them, by name; `WRAPPERS` has what transports put around a line. Each is text
with variables (`$client`), so a new one is a line here. `day()` is a day's traffic with four attackers in it.
"""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from string import Template

# 30 November 2026, 06:33:20 UTC.
BEGIN = 1_796_020_400.0
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@dataclass(frozen=True)
class Visit:
    """One request and its answer."""

    at: float
    client: str
    method: str = "POST"
    target: str = "/wp-login.php"
    status: int = 200
    agent: str = BROWSER
    referer: str = "-"
    host: str = "blog.example.com"
    user: str = "-"


# --- How servers write text that a client sent.


def nginx(text: str) -> str:
    r"""A quote is `\x22`; `access_log` without `escape=` does so."""
    return "".join(f"\\x{ord(c):02X}" if c in '"\\' or not 32 <= ord(c) < 127 else c for c in text)


def apache(text: str) -> str:
    r"""A quote is `\"`."""
    return "".join(
        f"\\{c}" if c in '"\\' else f"\\x{ord(c):02x}" if not 32 <= ord(c) < 127 else c for c in text
    )


def in_json(text: str) -> str:
    r"""As in any JSON; `escape=json`."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def go_json(text: str) -> str:
    r"""Go's encoder also has `\u003c` for `<`: Traefik."""
    return in_json(text).replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def traefik(text: str) -> str:
    """Nothing but quotes in quoted headers is escaped, and not the escape itself."""
    return text.replace('"', r"\"")


def haproxy(text: str) -> str:
    """A quote is `#22`."""
    return "".join(f"#{ord(c):02X}" if c in '"#{|}' or not 32 <= ord(c) < 127 else c for c in text)


Escape = Callable[[str], str]
COMBINED = '$client - $user [$clf] "$request" $status 5112 "$referer" "$agent"'
CADDY = (
    '{"level":"info","ts":$ts,"logger":"http.log.access.log0","msg":"handled request","request":{"remote_ip":"$client",'
    '"remote_port":"40526","client_ip":"$client","proto":"HTTP/2.0","method":"$method","host":"$host","uri":"$target",'
    '"headers":{"User-Agent":["$agent"],"Referer":["$referer"]},"tls":{"resumed":false,"version":772}},"bytes_read":57,'
    '"user_id":"","duration":0.110234,"size":5112,"status":$status,"resp_headers":{"Server":["Caddy"]}}'
)
LAYOUTS: dict[str, tuple[str, Escape]] = {
    "common": ('$client - $user [$clf] "$request" $status 5112', apache),
    "combined": (COMBINED, apache),
    "vhost_combined": (f"$host:443 {COMBINED}", apache),
    "nginx combined": (COMBINED, nginx),
    "nginx image": (f'{COMBINED} "-"', nginx),
    "ingress-nginx": (f"{COMBINED} 411 0.112 [blog-wordpress-80] [] 10.0.0.7:80 5112 0.112 $status 3c1f", nginx),
    "ingress-nginx, old": (
        ('$client - [$client] - $user [$clf] "$request" $status 5112 "$referer" "$agent" 411 0.112 '
        "[blog-wordpress-80] 10.0.0.7:80 5112 0.112 $status 3c1f"),
        nginx,
    ),
    "Traefik CLF": (
        f'{COMBINED} 12 "blog@docker" "http://172.18.0.3:80" 110ms', traefik
    ),
    "Traefik generic CLF": (COMBINED, traefik),
    "Traefik JSON": (
        ('{"ClientAddr":"$socket","ClientHost":"$client","ClientPort":"40526","ClientUsername":"-",'
        '"DownstreamContentSize":5112,"DownstreamStatus":$status,"Duration":110234567,"GzipRatio":0,'
        '"OriginContentSize":5112,"OriginDuration":109876543,"OriginStatus":$status,"Overhead":358024,'
        '"RequestAddr":"$host","RequestContentSize":57,"RequestCount":12,"RequestHost":"$host","RequestMethod":"$method",'
        '"RequestPath":"$target","RequestPort":"-","RequestProtocol":"HTTP/2.0","RequestScheme":"https","RetryAttempts":0,'
        '"RouterName":"blog@docker","ServiceAddr":"172.18.0.3:80","ServiceName":"blog@docker",'
        '"ServiceURL":"http://172.18.0.3:80","StartLocal":"$iso_ns","StartUTC":"$iso_ns","entryPointName":"websecure",'
        '"level":"info","msg":"","request_Referer":"$referer","request_User-Agent":"$agent","time":"$iso_z"}'),
        go_json,
    ),
    "Caddy JSON": (CADDY.replace("$ts", "$epoch"), in_json),
    "Caddy JSON, ISO": (CADDY.replace("$ts", '"$iso_ms"'), in_json),
    "Caddy JSON, wall": (CADDY.replace("$ts", '"$wall"'), in_json),
    "Caddy's console": (
        "$wall\tINFO\thttp.log.access.log0\thandled request\t{" + CADDY.partition('"handled request",')[2],
        in_json,
    ),
    "Caddy's console in colours": (
        "$wall\t\x1b[34mINFO\x1b[0m\thttp.log.access\thandled request\t{" + CADDY.partition('"handled request",')[2],
        in_json,
    ),
    "Nginx Proxy Manager": (
        ('[$clf] - $status $status - $method https $host "$target" [Client $client] [Length 5112] [Gzip -] '
        '[Sent-to wordpress] "$agent" "$referer"'),
        nginx,
    ),
    "Nginx Proxy Manager (standard)": (
        '[$clf] $status - $method https $host "$target" [Client $client] [Length 5112] [Gzip 3.13] "$agent" "$referer"',
        nginx,
    ),
    "nginx-proxy": (f'$host {COMBINED} "172.18.0.3:80"', nginx),
    "lighttpd": ('$client $host $user [$clf] "$request" $status 5112 "$referer" "$agent"', apache),
    "Varnish": (COMBINED.replace("$request", "$method http://$host$target HTTP/1.1"), nginx),
    "APISIX": (
        ('$client - $user [$clf] $host "$request" $status 5112 0.112 "$referer" "$agent" 172.18.0.3:80 $status 0.110 '
        '"http://$host"'),
        nginx,
    ),
    "HAProxy httplog": (
        ("$bare:28974 [$haproxy_date] www-https~ wordpress/wp1 0/0/1/231/110 $status 5112 - - ---- 3/3/0/0/0 0/0 "
        '"$request"'),
        haproxy,
    ),
    "HAProxy httplog, captures": (
        ("$bare:28974 [$haproxy_date] www-https~ wordpress/wp1 0/0/1/231/110 $status 5112 - - ---- 3/3/0/0/0 0/0 "
        '{$host|$agent} {} "$request"'),
        haproxy,
    ),
    "rt_cache": (
        '$client 0.112 MISS [$clf] $host "$request" $status 5112 "$referer" "$agent"', nginx
    ),
    "rt_cache with server protocol": (
        '$client 0.112 - [$clf] $host "$request" $status 5112 "$referer" "$agent" "HTTP/2.0"', nginx
    ),
    "LiteSpeed": (f'"{COMBINED}', apache),
    "LiteSpeed, virtual host": (f'"$host {COMBINED}', apache),
    "LiteSpeed, virtual host in quotes": (f'"$host" {COMBINED}', apache),
    "X-Forwarded-For first": (COMBINED.replace("$client", "192.0.2.1, $client", 1), nginx),
    "X-Forwarded-For, then the peer": (COMBINED.replace("$client", "192.0.2.1 $client", 1), apache),
    # --- Fields that people add.
    "request time behind": (f"{COMBINED} 0.110 0.109 .", nginx),
    "request time labelled": (f'{COMBINED} rt=0.110 uct="0.000" uht="0.109" urt="0.109"', nginx),
    "request time before": (
        '$client - $user [$clf] 0.110 https "$request" $status 5112 "$referer" "$agent"', nginx
    ),
    "milliseconds": (COMBINED.replace("$clf", "$clf_ms"), apache),
    "milliseconds, comma": (COMBINED.replace("$clf", "$clf_comma"), apache),
    "ISO date": (COMBINED.replace("$clf", "$iso"), nginx),
    "seconds since 1970": (COMBINED.replace("$clf", "$epoch"), nginx),
    "date first": ('[$clf] $client - $user "$request" $status 5112 "$referer" "$agent"', nginx),
    "ISO date first": ('$iso $client $host "$request" $status 5112 0.110 "$referer" "$agent"', nginx),
    "ISO date first in brackets": ('[$iso] $client $host "$request" $status 5112 0.110', nginx),
    "date, dash, address": ('$iso - $client - "$request" $status 5112 "$agent"', nginx),
    "host behind the date": ('$client - $user [$clf] $host "$request" $status 5112 "$agent"', nginx),
    "host in quotes": ('$client - $user [$clf] "$host" "$request" $status 5112 "$referer" "$agent"', nginx),
    "host in brackets": ('$client - $user [$clf] [$host] "$request" $status 5112 "$referer" "$agent"', nginx),
    "status labelled": ('$client - - [$clf] "$request" status $status upstream 0.109 request 0.110', nginx),
    "status before the request": ('$client [$clf] $status 0.110 "$request" "$agent"', nginx),
    "time behind the request": ('$client - $user [$clf] "$request" 0.110 $status 5112 "$agent"', nginx),
    "all in quotes": ('"$client" "$clf" "$request" "$status" "5112" "$referer" "$agent"', nginx),
    "commas": ('"$iso","$client","$host","$request","$status","5112","$agent"', nginx),
    "bars": ('$client | $clf | $host | "$request" | $status | 5112 | 0.110 | "$agent"', nginx),
    "bars, date first": ('$iso|$client|$method|$host|"$request"|$status|5112|"$agent"', nginx),
    "tabs": ('$client\t[$clf]\t"$request"\t$status\t5112\t"$referer"\t"$agent"', nginx),
    "method and path in quotes": ('$client - $user [$clf] "$method" "$target" "HTTP/2.0" $status 5112 "$agent"', nginx),
    "port behind the address": ('$socket - $user [$clf] "$request" $status 5112 "$referer" "$agent"', apache),
    "Apache combinedio": (f"{COMBINED} 512 5498", apache),
    "Apache with microseconds": (f"{COMBINED} 110234", apache),
    "LTSV": (
        ("time:$clf\thost:$client\tforwardedfor:-\treq:$request\tstatus:$status\tsize:5112\treferer:$referer\tua:$agent"
        "\treqtime:0.110\tvhost:$host"),
        nginx,
    ),
    "LTSV of parts": (
        "time:$iso\tremote_addr:$client\trequest_method:$method\trequest_uri:$target\tstatus:$status\tua:$agent", nginx
    ),
    "logfmt": (
        'time=$iso remote_addr=$client host=$host method=$method uri="$target" status=$status bytes=5112 ua="$agent"',
        in_json,
    ),
    # --- JSON by the names that people give.
    "nginx JSON": (
        ('{"time":"$iso","remote_addr":"$client","remote_user":"","request":"$request","status":"$status",'
        '"body_bytes_sent":"5112","request_time":"0.110","http_referrer":"$referer","http_user_agent":"$agent"}'),
        in_json,
    ),
    "nginx JSON, local time": (
        ('{"time_local":"$clf","remote_addr":"$client","request_method":"$method","request":"$request",'
        '"response_status":"$status","body_bytes_sent":"5112","http_user_agent":"$agent",}'),
        in_json,
    ),
    "nginx JSON, numbers": (
        ('{"@timestamp":"$iso","@version":"1","server_addr":"172.18.0.3","remote_addr":"$client","host":"$host",'
        '"uri":"$path","args":"$query","request_method":"$method","upstream_response_time":-,"request_time":0.110,'
        '"status":$status,"http_x_forwarded_for":"-","http_user_agent":"$agent"}'),
        in_json,
    ),
    "nginx JSON, nested": (
        ('{"@timestamp":"$iso","@source":"172.18.0.3","@nginx_fields":{"remote_addr":"$client","status":"$status",'
        '"host":"$host","uri":"$path","request_uri":"$target","request_method":"$method","http_user_agent":"$agent"}}'),
        in_json,
    ),
    "nginx JSON, short": (
        '{"ts":"$epoch","ip":"$client","m":"$method","url":"$target","code":"$status","ua":"$agent"}', in_json
    ),
    "nginx JSON, not escaped as JSON": (
        '{"time":"$iso","client":"$client","request":"$request","status":"$status","agent":"$agent"}', nginx
    ),
    "ingress-nginx JSON": (
        ('{"time": "$iso", "remote_addr": "$client", "x_forwarded_for": "$client", "request_id": "3c1f", "bytes_sent": '
        '5112, "request_time": 0.110, "status": $status, "vhost": "$host", "request_proto": "HTTP/2.0", "path": "$path", '
        '"request_query": "$query", "method": "$method", "http_user_agent": "$agent"}'),
        in_json,
    ),
    "Google's JSON": (
        ('{"timestamp": "$iso", "requestID": "3c1f", "upstreamStatus": "$status", "httpRequest":{"requestMethod": '
        '"$method", "requestUrl": "$host$target", "status": $status, "requestSize": "411", "userAgent": "$agent", '
        '"remoteIp": "$client", "referer": "$referer", "latency": "0.110 s", "protocol":"HTTP/2.0"}}'),
        in_json,
    ),
    "Apache JSON": (
        ('{"time":"[$clf]","remoteIP":"$client","host":"$host","request":"$path","query":"$ask","method":"$method",'
        '"status":"$status","userAgent":"$agent","referer":"$referer"}'),
        apache,
    ),
    "Apache JSON, request line": (
        ('{ "time":"$iso_z", "client_ip":"$client", "connection_ip":"172.18.0.2", "requestLine":"$request", '
        '"status":$status, "bytes":5112, "userAgent":"$agent" }'),
        apache,
    ),
    "Apache JSON, seconds": (
        ('{ "Time":$second, "RemoteIP":"$client", "Host":"$host", "Port":"443", "Request":"$path", "Query":"$ask", '
        '"Method":"$method", "Status":"$status", "UserAgent":"$agent" }'),
        apache,
    ),
    "Apache JSON, capitals": (
        ('{"ClientAddress": "$client", "PeerAddress": "$client", "Protocol": "HTTP/2.0", "QueryString": "$ask", '
        '"RequestLine": "$request", "RequestMethod": "$method", "StartTime": "$iso_ms", "Status": $status, '
        '"UserAgent": "$agent", "UrlPath": "$path" }'),
        apache,
    ),
    "Elastic Common Schema": (
        ('{"@timestamp":"$iso_z","client":{"ip":"$client"},"http":{"request":{"method":"$method"},"response":'
        '{"status_code":$status}},"url":{"original":"$target","domain":"$host"},"user_agent":{"original":"$agent"}}'),
        in_json,
    ),
    "HAProxy JSON": (
        ('{"time":"$haproxy_date","conn":{"act":1},"client":{"ip":"$client","port":40526},"frontend":"https","request":'
        '{"method":"$method","uri":"$target","protocol":"HTTP/2.0"},"response":{"status_code":$status}}'),
        in_json,
    ),
    "Cloudflare": (
        ('{"ClientIP":"$client","ClientRequestHost":"$host","ClientRequestMethod":"$method","ClientRequestURI":"$target",'
        '"ClientRequestUserAgent":"$agent","EdgeResponseStatus":$status,"EdgeStartTimestamp":"$iso_ms"}'),
        in_json,
    ),
    "Envoy Gateway": (
        ('{"start_time":"$iso_ms","method":"$method","x-envoy-origin-path":"$target","response_code":$status,'
        '"x-forwarded-for":"$client","user-agent":"$agent",":authority":"$host","downstream_remote_address":"$socket"}'),
        in_json,
    ),
    "Envoy JSON": (
        ('{"start_time":"$iso_ms","method":"$method","path":"$target","protocol":"HTTP/2","response_code":$status,'
        '"response_flags":"-","downstream_remote_address":"$socket","user_agent":"$agent","authority":"$host"}'),
        in_json,
    ),
}  # fmt: skip


def line(name: str, visit: Visit) -> str:
    """Return the line that a server with this layout writes of a visit."""
    text, escape = LAYOUTS[name]
    return Template(text).substitute(_fields(visit, escape))


def _fields(visit: Visit, escape: Escape) -> dict[str, str]:
    at = datetime.fromtimestamp(visit.at, UTC)
    path, mark, query = visit.target.partition("?")
    clock, milliseconds = f"{at:%d/%b/%Y:%H:%M:%S}", f"{at:%f}"[:3]
    client = visit.client
    sent = {
        "method": visit.method, "target": visit.target, "path": path, "query": query, "ask": mark + query,
        "request": f"{visit.method} {visit.target} HTTP/2.0", "agent": visit.agent, "referer": visit.referer,
        "host": visit.host, "user": visit.user,
    }  # fmt: skip
    return {name: escape(text) for name, text in sent.items()} | {
        "client": client,
        "bare": client,
        "socket": f"[{client}]:40526" if ":" in client else f"{client}:40526",
        "status": str(visit.status),
        "clf": f"{clock} +0000",
        "clf_ms": f"{clock}.{milliseconds} +0000",
        "clf_comma": f"{clock},{milliseconds} +0000",
        "haproxy_date": f"{clock}.{milliseconds}",
        "iso": f"{at.astimezone(timezone(timedelta(hours=2))):%Y-%m-%dT%H:%M:%S}+02:00",
        "iso_z": f"{at:%Y-%m-%dT%H:%M:%S}Z",
        "iso_ms": f"{at:%Y-%m-%dT%H:%M:%S}.{milliseconds}Z",
        "iso_ns": f"{at:%Y-%m-%dT%H:%M:%S.%f}123Z",
        "wall": f"{at:%Y/%m/%d %H:%M:%S}.{milliseconds}",
        "epoch": f"{visit.at:.3f}",
        "second": f"{visit.at:.0f}",
    }


# --- What transports put around a line.


def syslog_3164(text: str, at: float) -> str:
    when = datetime.fromtimestamp(at, UTC)
    return f"<190>{when:%b} {when.day:2} {when:%H:%M:%S} web nginx: {text}"


def syslog_3164_nohostname(text: str, at: float) -> str:
    """As nginx sends it with `nohostname`."""
    return syslog_3164(text, at).replace(" web nginx: ", " nginx: ", 1)


def syslog_3164_file(text: str, at: float) -> str:
    """As rsyslog writes it to a file."""
    when = datetime.fromtimestamp(at, UTC)
    return f"{when:%b} {when.day:2} {when:%H:%M:%S} web haproxy[4711]: {text}"


def syslog_5424(text: str, at: float) -> str:
    return f"<190>1 {datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}Z web nginx 4711 - - {text}"


def json_file(text: str, at: float) -> str:
    when = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}789Z"
    return json.dumps({"log": f"{text}\n", "stream": "stdout", "time": when}, separators=(",", ":"))


def compose(text: str, _: float) -> str:
    return f"wordpress-1  | {text}"


def compose_coloured(text: str, _: float) -> str:
    return f"\x1b[36mwordpress-1  | \x1b[0m{text}"


def foreman(text: str, at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S} web.1  | {text}"


def forego(text: str, _: float) -> str:
    return f"\x1b[0;36;1mnginx.1     | \x1b[0m{text}"


def rsyslog(text: str, at: float) -> str:
    """As rsyslog writes it to a file since Debian 12."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}+00:00 web nginx[4711]: {text}"


def kubectl(text: str, _: float) -> str:
    return f"[pod/blog-0/wordpress] {text}"


def docker_stamp(text: str, at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}789Z {text}"


def cri(text: str, at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}789Z stdout F {text}"


def bare(text: str, _: float) -> str:
    return text


WRAPPERS: dict[str, Callable[[str, float], str]] = {
    "bare": bare,
    "syslog 3164": syslog_3164,
    "syslog 3164, no host": syslog_3164_nohostname,
    "syslog 3164 in a file": syslog_3164_file,
    "syslog 5424": syslog_5424,
    "rsyslog": rsyslog,
    "json-file": json_file,
    "docker logs -t": docker_stamp,
    "kubelet": cri,
    "kubectl logs --prefix": kubectl,
    "docker compose logs": compose,
    "docker compose logs, coloured": compose_coloured,
    "foreman": foreman,
    "forego": forego,
}


# --- A day at a site.

FORM, XML_RPC, SLOW = "203.0.113.66", "203.0.113.67", "203.0.113.68"
IPV6 = [f"2001:db8:bad:1::{number:x}" for number in range(1, 16)]
ATTACKING = (FORM, XML_RPC, SLOW, *IPV6)
# Address of a ban, and its jail.
ATTACKERS = {
    (FORM, "wordpress-access"),
    (XML_RPC, "wordpress-xmlrpc"),
    ("2001:db8:bad:1::/64", "wordpress-access"),
    (SLOW, "wordpress-access"),
}
READERS = [f"198.51.100.{number}" for number in range(1, 46)] + [
    f"2001:db8:{number}::7" for number in range(1, 6)
]
PAGES = (
    "/", "/about/", "/2026/11/hello-world/", "/wp-content/themes/x/style.css?ver=6.8", "/wp-json/oembed/1.0/embed?url=x",
    "/wp-includes/js/jquery/jquery.min.js", "/feed/", "/?s=wp-login.php", "/wp-content/uploads/2026/11/a%20b.png",
    "/how-to-change-wp-login.php/",
)  # fmt: skip


def day(seed: int = 11) -> list[Visit]:
    """Return 700 requests in their order: of 50 readers, and of four attackers.

    One guesses in the form, one by XML-RPC, one in the form over IPv6 from changing addresses of his /64, and one every
    six minutes. Among the readers some log in, some of them mistype, one has a second factor, and an app calls XML-RPC.
    """
    chance = random.Random(seed)
    visits = [
        *(Visit(BEGIN + 900 + 2.5 * n, FORM, agent="python-requests/2.32") for n in range(20)),
        *(Visit(BEGIN + 3600 + n / 2, XML_RPC, target="/xmlrpc.php") for n in range(60)),
        *(Visit(BEGIN + 5000 + 7 * n, at, target="/wp-login.php?action=rp") for n, at in enumerate(IPV6)),
        *(Visit(BEGIN + 60 + 360 * n, SLOW) for n in range(20)),
        *_people(chance),
    ]
    rest = 700 - len(visits)
    visits += [
        Visit(
            BEGIN + chance.uniform(0, 7200), READERS[n % len(READERS)], "GET", chance.choice(PAGES),
            chance.choice((200, 200, 200, 304, 404)),
        )
        for n in range(rest)
    ]  # fmt: skip
    return sorted(visits, key=lambda visit: visit.at)


def _people(chance: random.Random) -> Iterator[Visit]:
    """Logins of readers: most are right at once, some at the third try; one app."""
    for number, client in enumerate(READERS[::3]):
        at = BEGIN + chance.uniform(0, 7000)
        yield Visit(at, client, "GET")
        wrong = number % 4
        for n in range(wrong):
            yield Visit(at + 10 + 5 * n, client)
        yield Visit(at + 40, client, status=302)
        yield Visit(at + 41, client, "GET", "/wp-admin/")
        yield Visit(at + 42, client, "POST", "/wp-admin/admin-ajax.php")
    for n in range(12):
        yield Visit(BEGIN + 2000 + 3 * n, READERS[1], target="/xmlrpc.php", agent="wp-iphone/24.1")
    # An office: seven mistypes of seven people, each of whom then logs in.
    for n in range(7):
        yield Visit(BEGIN + 1000 + 60 * n, READERS[2])
        yield Visit(BEGIN + 1020 + 60 * n, READERS[2], status=302)
        yield Visit(BEGIN + 1021 + 60 * n, READERS[2], "GET", "/wp-admin/index.php")
