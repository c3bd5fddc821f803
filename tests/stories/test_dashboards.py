"""A real Prometheus scrapes two real daemons under attack, and answers every query of every panel and every rule.

One daemon is the container, with a WordPress site; the other reads files and observes, and both share their bans.
Alertmanager is started by the monitoring profile's own script. Nothing here is the profile's image, which no registry
need answer for: the programs are Debian's, the configuration files are the ones that ship.
"""

import contextlib
import json
import os
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

import pytest
import yaml

from dashboards.__main__ import FOLDER
from dashboards.panels import WELL
from tests.bed import Bed
from tests.bed.daemon import program
from tests.bed.sidecar import NAME, Sidecar
from tests.support.paths import COMMAND, ROOT
from tests.support.waiting import wait_until

PROMETHEUS = "http://127.0.0.1:9090/api/v1"
RUNBOOKS = "https://docs.example.org/troubleshooting.html"
REDIS = 6379
OBSERVING = """
[DEFAULT]
# Clients are lines in a file, and send no packets.
witness = off
[wordpress]
logpath = {log}
[wordpress-access]
logpath = {log}
[observed]
filter = wordpress
logpath = {log}
mode = observe
"""


@pytest.fixture(scope="module")
def bed():
    with Bed.up(sidecar=True) as bed:
        yield bed


@pytest.fixture(scope="module")
def start(bed):
    """Starts a program in a place. A thread that lasts starts them all: the kernel ends them with it."""
    with ThreadPoolExecutor(1) as lasting:
        started = []

        def start(place, argv, output, **environ):
            with output.open("w") as file:
                process = lasting.submit(
                    place.popen, argv, stdout=file, stderr=file, env={**os.environ, **environ}
                ).result()
            started.append(process)
            return process

        yield start
        for process in started:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def redis(bed, start, tmp_path_factory):
    """In the host, so that both daemons reach it. They try until it is there."""
    folder = tmp_path_factory.mktemp("redis")
    options = ["--port", str(REDIS), "--bind", "0.0.0.0", "--protected-mode", "no", "--save", ""]
    start(bed.host, [program("redis-server"), *options, "--dir", str(folder)], folder / "said")


@pytest.fixture(scope="module")
def site(bed):
    return bed.wordpress(log="access")


@pytest.fixture(scope="module")
def sidecar(bed, site, redis):
    environ = {"SLACK_WEBHOOK_URL": bed.webhook.url, "WP_SIDECAR_REDIS_URL": f"redis://127.0.0.1:{REDIS}"}
    sidecar = Sidecar(bed, environ)
    yield sidecar
    sidecar.remove()


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """The log of the daemon that reads files."""
    log = tmp_path_factory.mktemp("node") / "error.log"
    log.touch()
    return log


@pytest.fixture(scope="module")
def node(bed, start, redis, log):
    """The other daemon, at the visitor's place."""
    (log.parent / "jails.conf").write_text(OBSERVING.format(log=log))
    said = log.parent / "said"
    start(
        bed.visitor,
        [COMMAND, "run"],
        said,
        WP_SIDECAR_JAILS=str(log.parent / "jails.conf"),
        WP_SIDECAR_STATE=str(log.parent / "state"),
        WP_SIDECAR_SOCKET=str(log.parent / "control.sock"),
        WP_SIDECAR_LISTEN="0.0.0.0:9734",
        WP_SIDECAR_NODE="node",
        WP_SIDECAR_REDIS_URL=f"redis://{bed.host.v4[0]}:{REDIS}",
    )
    target = f"{bed.visitor.v4[0]}:9734"
    asked = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://{target}/readyz"]
    wait_until(lambda: bed.host.run(asked, check=False).stdout == "200", 60, said.read_text)
    return target


@pytest.fixture(scope="module")
def prometheus(bed, start, sidecar, node, tmp_path_factory):
    """Prometheus with the profile's configuration, only faster, and Alertmanager by the profile's script."""
    folder = tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load((ROOT / "dashboards/prometheus.yml").read_text())
    config["global"] |= {"scrape_interval": "2s", "evaluation_interval": "2s"}
    config["scrape_configs"][0]["static_configs"][0]["targets"].append(node)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    (folder / "written").mkdir()
    shutil.copy(ROOT / "dashboards/alerts.yml", folder)
    start(
        bed.host,
        ["sh", f"{ROOT}/dashboards/prometheus.sh", f"--storage.tsdb.path={folder}/data"],
        folder / "said",
        PROMETHEUS=program("prometheus"),
        PROMETHEUS_FROM=str(folder),
        PROMETHEUS_TO=str(folder / "written"),
        WP_SIDECAR_RUNBOOK_URL=RUNBOOKS,
    )
    start(
        bed.host,
        ["sh", f"{ROOT}/dashboards/alertmanager.sh", f"--storage.path={folder}/alertmanager"],
        folder / "alertmanager-said",
        ALERTMANAGER=program("prometheus-alertmanager"),
        ALERTMANAGER_CONFIG=str(folder / "alertmanager.yml"),
        SLACK_WEBHOOK_URL=bed.webhook.url.replace("/services/", "/alertmanager/"),
        WP_SIDECAR_WEBHOOK_URL=bed.webhook.url.replace("/services/", "/generic/"),
    )
    both = 'sum(up{job="wp-sidecar"}) == 2'

    def ask(path, **parameters):
        words = [
            part for name, value in parameters.items() for part in ("--data-urlencode", f"{name}={value}")
        ]
        done = bed.host.run(["curl", "-s", "-m", "30", *words, f"{PROMETHEUS}/{path}"], check=False)
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            # It does not listen yet, or says in words that it is not ready.
            return {"status": done.stdout}
        return answer["data"] if answer["status"] == "success" else answer

    wait_until(
        lambda: ask("query", query=both).get("result"),
        60,
        lambda: f"{(folder / 'said').read_text()[-2000:]}{ask('targets')}",
        interval=0.5,
    )
    return ask


def value(prometheus, query):
    """The one number that a query answers; None: it answers nothing."""
    result = prometheus("query", query=query)["result"]
    assert len(result) < 2
    return float(result[0]["value"][1]) if result else None


@pytest.fixture(scope="module")
def attacked(bed, prometheus, sidecar, site, log):
    """Failures, bans, observed bans, dropped packets, an unban, a failure that cannot be banned, and a reload: all seen."""
    source = bed.attacker.v4[0]

    def guess_unless_banned(client, address):
        """Guess once, unless the address is banned; return whether it is."""
        if any(ip_address(address) in ip_network(ban["ip"]) for ban in sidecar.bans()):
            return True
        # The answer may be cut off by the ban.
        with contextlib.suppress(OSError):
            client.login(site, "admin", "wrong", address, timeout=20)
        return False

    for client, address in ((bed.attacker, source), (bed.attacker2, bed.attacker2.v6[0])):
        wait_until(lambda client=client, address=address: guess_unless_banned(client, address), 120)
    with pytest.raises(OSError):
        bed.attacker.get(site, source=source, timeout=2)
    stamp = datetime.now(UTC).strftime("%d-%b-%Y %H:%M:%S UTC")
    with log.open("a") as file:
        for address in ("192.0.2.50", "192.0.2.51", "10.0.0.9"):
            file.write(f"[{stamp}] wordpress(blog)[7]: Authentication failure for admin from {address}\n" * 5)
    sidecar.command("ban", "192.0.2.77", "--for", "1h")
    sidecar.command("unban", "192.0.2.77")
    sidecar.command("reload")
    seen = {
        "banned": 'sum(wp_sidecar_bans_total{cause="failures"}) >= 4',
        "observed": "sum(wp_sidecar_dry_run_bans_total) >= 2",
        "dropped": "sum(wp_sidecar_dropped_packets_total) > 0",
        "unbanned": 'sum(wp_sidecar_unbans_total{cause="manual"}) > 0',
        "not banned": "sum(wp_sidecar_allowlisted_failures_total) >= 5",
        "taken from the fleet": 'sum(wp_sidecar_fleet_bans_total{direction="received",result="ok"}) > 0',
        "told": 'sum(wp_sidecar_alerts_total{result="sent"}) > 0',
    }

    def missing():
        return [what for what, query in seen.items() if not prometheus("query", query=query)["result"]]

    wait_until(
        lambda: not missing(), 120, lambda: f"not seen: {missing()}; {sidecar.logs()[-2000:]}", interval=1
    )
    # `rate()` needs two samples after the first.
    began = time.time()
    wait_until(lambda: value(prometheus, "min(timestamp(wp_sidecar_ready))") > began + 4, 60, interval=1)


def asked(board, query, site):
    """The query as Grafana sends it, with everything chosen; on the board of one site, the site."""
    chosen = {"container": site.container if board == "wp-sidecar-site" else ".*"}
    query = query.replace("$__rate_interval", "2m")
    return re.sub(r"\$(\w+)", lambda name: chosen.get(name[1], ".*"), query)


def queries(board):
    """Yield the title, the query, whether it is asked over a time, and whether it may find nothing."""
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            # A line of what is more than nothing stands beside one that is always there.
            may_be_empty = panel["description"].endswith(WELL) or target["expr"].endswith(" > 0")
            yield panel["title"], target["expr"], not target["instant"], may_be_empty
    for each in board["annotations"]["list"]:
        yield each["name"], each["expr"], True, False


def numbers(prometheus, query, *, over_time):
    """What Prometheus answers, without what is no number."""
    now = time.time()
    if over_time:
        answer = prometheus("query_range", query=query, start=now - 300, end=now, step=5)
    else:
        answer = prometheus("query", query=query)
    assert "result" in answer, (query, answer)
    points = [point for each in answer["result"] for point in each.get("values", [each.get("value")])]
    return [number for _, number in points if number != "NaN"]


def test_every_query_of_every_panel_has_an_answer(prometheus, attacked, site):
    found = {
        (path.stem, title, expression): bool(
            numbers(prometheus, asked(path.stem, expression, site), over_time=over_time)
        )
        or may_be_empty
        for path in sorted(FOLDER.glob("*.json"))
        for title, expression, over_time, may_be_empty in queries(json.loads(path.read_text()))
    }

    assert len(found) > 120
    assert [query for query, answered in found.items() if not answered] == []


def test_every_choice_has_values(prometheus, attacked, site):
    for path in sorted(FOLDER.glob("*.json")):
        for each in json.loads(path.read_text())["templating"]["list"]:
            if each["type"] == "query":
                metric, label = re.fullmatch(r"label_values\((.*), (\w+)\)", each["definition"]).groups()
                found = prometheus("query", query=f"group by ({label}) ({asked('', metric, site)})")
                assert found["result"], each["definition"]


def panel(board, title):
    (found,) = [
        each
        for each in json.loads((FOLDER / f"{board}.json").read_text())["panels"]
        if each["title"] == title
    ]
    return found["targets"][0]["expr"]


def test_the_overview_says_what_happened_in_whole_numbers(prometheus, attacked, sidecar, node, site):
    """As the daemons count themselves. Observed bans stopped nobody, and each attacker is counted by one host."""

    def shown(title):
        return value(prometheus, asked("", panel("wp-sidecar-overview", title), site))

    new = '{cause!~"fleet|adopted"}'
    observed = value(prometheus, f"sum(wp_sidecar_dry_run_bans_total{new})")
    own = value(prometheus, f"sum(wp_sidecar_bans_total{new})") - observed

    assert [shown("Banned, last 24 h"), shown("Only observed, last 24 h")] == [own, observed]
    assert shown("Failures, last 24 h") == value(prometheus, "sum(wp_sidecar_failures_total)")
    assert shown("Protection") == 1
    assert shown("Logs not read") == 0
    assert shown("Bans in the kernel") == 1


def test_prometheus_evaluates_every_rule_and_none_fires_for_two_daemons_that_do_their_work(
    prometheus, attacked
):
    (group,) = prometheus("rules")["groups"]
    wanted = yaml.safe_load((ROOT / "dashboards/alerts.yml").read_text())["groups"][0]["rules"]

    assert [rule["name"] for rule in group["rules"]] == [rule["alert"] for rule in wanted]
    assert [(rule["name"], rule.get("lastError")) for rule in group["rules"] if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in group["rules"] if rule["state"] == "firing"] == []
    # Each rule asks for series that there are.
    names = {name for rule in wanted for name in re.findall(r"\bwp_sidecar_\w+", rule["expr"])}
    missing = [name for name in sorted(names) if not prometheus("query", query=f"count({name})")["result"]]
    # Nothing is wrong.
    assert missing == ["wp_sidecar_problem"]


def test_a_rule_that_fires_arrives_at_both_webhooks(bed, prometheus, attacked, sidecar):
    """Somebody keeps deleting the table."""

    def repairs():
        return sidecar.metric('wp_sidecar_firewall_repairs_total{reason="table"}')

    for _ in range(4):
        before = repairs()
        bed.host.run(["nft", "delete", "table", "inet", "wp_sidecar"])
        wait_until(lambda before=before: repairs() > before, 30)

    def posts(kind):
        return [post.body for post in bed.webhook.posts if post.path.startswith(f"/{kind}/")]

    wait_until(
        lambda: posts("alertmanager") and posts("generic"), 120, lambda: str(prometheus("alerts")), interval=1
    )
    slack, generic = posts("alertmanager")[0], posts("generic")[0]
    assert "another program on 127.0.0.1:9734 keeps changing the firewall table" in json.dumps(slack)
    assert f"{RUNBOOKS}#" in json.dumps(slack)
    assert generic["alerts"][0]["labels"]["alertname"] == "SidecarTableChanged"
    assert NAME in generic["alerts"][0]["annotations"]["summary"]
