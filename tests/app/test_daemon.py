"""The wired daemon as a process: what goes in as log lines, commands and files comes out as the kernel's table."""

import contextlib
import json
import math
import os
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.disks import fill, in_own_mounts, mount, mount_small_disk
from tests.support.paths import COMMAND
from tests.support.waiting import wait_until

ANN, BOB = "203.0.113.7", "203.0.113.8"


def stored_lines(daemon, jail="wordpress", who="%"):
    """Return the lines of the failures that the store has, oldest first."""
    with contextlib.closing(sqlite3.connect(daemon.folder / "state/state.db")) as db:
        rows = db.execute("SELECT line FROM hits WHERE jail = ? AND who LIKE ? ORDER BY rowid", (jail, who))
        return [line for (line,) in rows]


def test_a_line_becomes_a_drop(daemon):
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: ANN in daemon.banned())
    (ban,) = daemon.ask("bans")["bans"]

    assert ban["jail"] == "wordpress"
    assert (ban["failures"], ban["site"], round(ban["until"] - ban["at"])) == (3, str(daemon.log), 3600)
    assert ban["evidence"][-1].endswith(f"wordpress(blog)[7]: Authentication failure for admin from {ANN}")
    assert re.search(rf"elements = {{ {ANN} timeout (1h|59m)", daemon.table())


def test_a_ban_is_explained_and_stays_in_the_history(daemon):
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: ANN in daemon.banned())
    jails = {each["jail"]: each for each in daemon.ask("explain", who=ANN)["jails"]}

    (expression,) = jails["wordpress"]["expressions"]
    assert expression["lines"] == 3 and "Authentication failure for" in expression["expression"]
    assert len(jails["wordpress"]["failed_at"]) == 3
    assert (jails["wordpress"]["ban"]["dropped"], jails["wordpress"]["ban"]["last_dropped"]) == (0, None)
    (busiest,) = daemon.ask("top")["addresses"]
    assert (busiest["ip"], busiest["failures"], busiest["banned"], busiest["dropped"]) == (ANN, 3, True, 0)

    daemon.ask("unban", who=ANN)
    (past,) = daemon.ask("history", who=None)["bans"]
    assert (past["ip"], past["cause"], past["ended_by"]) == (ANN, "failures", "manual")
    assert [each["ended"] for each in daemon.ask("explain", who=ANN)["history"]] == [past["ended"]]


def test_an_attacker_with_a_whole_ipv6_network_is_banned_with_it(daemon):
    daemon.start()
    for n in range(9):
        daemon.fail(f"2001:db8:0:{n}::7", 1)
    wait_until(lambda: daemon.banned() == ["2001:db8::/56"])

    assert re.search(r"elements = { 2001:db8::/56 timeout (1h|59m)", daemon.table())
    [ban] = daemon.ask("bans")["bans"]
    assert (ban["cause"], ban["failures"], ban["reason"]) == (
        "group",
        9,
        "9 failures of at least 5 of its addresses, the last of 2001:db8:0:8::/64",
    )


def test_the_status_page_shows_a_ban(daemon):
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: ANN in daemon.banned())
    page = daemon.inside("curl", "-sS", "http://127.0.0.1:9734/?q=203.0.113")

    assert re.search(rf'<th scope="row"[^>]*>{ANN}</th>', page)
    assert f"{ANN} banned" in page
    assert "Failures <strong>3</strong>" in page


def test_an_event_log_has_every_failure_and_ban_and_restored_ban(daemon, monkeypatch):
    events = daemon.folder / "events.log"
    monkeypatch.setenv("WP_SIDECAR_EVENT_LOG", str(events))
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: ANN in daemon.banned())
    daemon.ask("unban", who=ANN)
    daemon.ask("ban", who=BOB)
    daemon.end()
    daemon.start()
    wait_until(lambda: "Restore Ban" in events.read_text())

    assert [
        line.partition("]: ")[2].split(" - ")[0].split(maxsplit=1)[1]
        for line in events.read_text().splitlines()
    ] == [
        *[f"[wordpress] Found {ANN}"] * 3,
        f"[wordpress] Ban {ANN}",
        f"[wordpress] Unban {ANN}",
        f"[manual] Ban {BOB}",
        f"[manual] Restore Ban {BOB}",
    ]


def test_an_event_log_that_cannot_be_opened_is_reported(daemon, monkeypatch):
    monkeypatch.setenv("WP_SIDECAR_EVENT_LOG", str(daemon.folder / "missing" / "events.log"))
    daemon.start()

    assert any("correct WP_SIDECAR_EVENT_LOG" in sentence for sentence in daemon.ask("health")["why"])


def test_a_start_without_docker_waits_for_it_is_not_ready_and_bans_meanwhile(daemon, monkeypatch):
    socket_path = daemon.folder / "none.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{socket_path}")
    daemon.configure("[wordpress-probes]")
    daemon.start(ready=False)

    health = daemon.ask("health")
    assert (health["live"], health["ready"]) == (True, False)
    assert health["why"][0].startswith(
        f"no Docker socket at unix://{socket_path}: mount it into this container, or set DOCKER_HOST"
    )
    daemon.fail(ANN, 5)
    wait_until(lambda: daemon.banned() == [ANN])


def test_lines_that_a_container_sends_to_its_dev_log_count(daemon, monkeypatch):
    path = daemon.folder / "shared" / "log"
    monkeypatch.setenv("WP_SIDECAR_SYSLOG", str(path))
    daemon.start()
    began = time.time()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as container:
        container.connect(str(path))
        for _ in range(3):
            container.send(
                f"<37>Nov 22 03:59:51 wordpress(blog)[7]: Authentication failure for admin from {ANN}".encode()
            )
    wait_until(lambda: ANN in daemon.banned())
    (ban,) = daemon.ask("bans")["bans"]

    assert (ban["jail"], ban["site"], ban["failures"]) == ("wordpress", str(path), 3)
    # By the clock, and not by the text, which has a zone of its own.
    assert began <= ban["at"] <= time.time()


def test_bans_and_failures_outlive_a_kill(daemon):
    daemon.start()
    daemon.fail(ANN, 3)
    daemon.fail(BOB, 2)
    wait_until(lambda: ANN in daemon.banned())
    wait_until(lambda: len(stored_lines(daemon, who=BOB)) == 2)
    daemon.end(signal.SIGKILL)
    daemon.fail(BOB, 1)
    assert ANN in daemon.table()
    daemon.start()

    wait_until(lambda: daemon.banned() == [ANN, BOB])


def test_forgotten_failures_stay_forgotten_after_a_kill(daemon):
    daemon.start()
    daemon.fail(ANN, 2)
    daemon.fail(BOB, 2)
    wait_until(lambda: daemon.failures()["wordpress"] == 4)
    assert daemon.ask("unban", who=ANN)["unbanned"] == []
    daemon.end(signal.SIGKILL)
    daemon.start()
    daemon.fail(ANN, 1)
    daemon.fail(BOB, 1)

    wait_until(lambda: daemon.banned() == [BOB])
    assert daemon.ask("explain", who=ANN)["jails"][0]["failures"] == 1


def test_after_a_reboot_bans_are_in_force_as_the_configuration_has_it_now(daemon):
    """What is restored first is as the last run had it."""
    daemon.start()
    daemon.ask("ban", who=ANN, jail="wordpress")
    daemon.ask("ban", who=BOB, jail="wordpress")
    daemon.end()
    daemon.inside("nft", "delete", "table", "inet", "wp_sidecar")
    daemon.configure(f"port = 22\nignoreip = {BOB}")
    daemon.start()

    assert daemon.banned() == [ANN]
    assert ANN in daemon.inside("nft", "list", "set", "inet", "wp_sidecar", "ban4_22")
    assert ANN not in daemon.inside("nft", "list", "set", "inet", "wp_sidecar", "ban4")
    assert BOB not in daemon.table()
    assert daemon.ask("status")["firewall"]["enforced"] == [1, 1]
    daemon.ask("unban", who=ANN)
    assert ANN not in daemon.table()


def test_a_restart_unbans_what_its_ignoreip_has(daemon):
    daemon.start()
    daemon.ask("ban", who=ANN, jail="wordpress")
    daemon.ask("ban", who=BOB, jail="wordpress")
    daemon.end()
    daemon.configure(f"ignoreip = {ANN}")
    daemon.start()

    assert daemon.banned() == [BOB]
    assert ANN not in daemon.table()
    daemon.end(signal.SIGKILL)
    daemon.configure()
    daemon.start()
    # The store has the unban as well.
    assert daemon.banned() == [BOB]


def test_a_ban_that_follows_from_a_lower_maxretry_is_logged_and_counted(daemon):
    daemon.start()
    daemon.fail(ANN, 2)
    wait_until(lambda: daemon.ask("status")["jails"][0]["failures"] == 2)
    daemon.end()
    daemon.configure("maxretry = 2")
    daemon.start()

    assert daemon.banned() == [ANN]
    assert daemon.ask("status")["jails"][0]["bans"] == 1
    wait_until(lambda: f"[wordpress] Ban {ANN} until" in daemon.stderr())
    daemon.end(signal.SIGKILL)
    daemon.configure()
    daemon.start()
    assert daemon.banned() == [ANN]


def test_failures_of_allowlisted_addresses_are_counted_and_not_stored(daemon):
    daemon.start()
    daemon.fail("10.1.2.3", 7)
    wait_until(lambda: daemon.ask("status")["jails"][0]["failures"] == 7)
    daemon.end()

    assert stored_lines(daemon) == []


def test_it_is_not_ready_while_the_kernel_refuses_the_firewall(daemon):
    daemon.start()
    with daemon.table_of_another_program():
        wait_until(lambda: not daemon.ask("health")["ready"])
        daemon.fail(ANN, 3)
        wait_until(lambda: ANN in daemon.banned())
        # For three seconds: neither lines that are read nor cursors that are stored make it ready.
        for _ in range(30):
            daemon.fail("10.1.2.3", 1)
            assert not daemon.ask("health")["ready"]
            time.sleep(0.1)

    wait_until(lambda: ANN in daemon.table())
    wait_until(lambda: daemon.ask("health")["ready"])


def test_bans_stay_in_force_at_the_end_unless_they_are_flushed(daemon):
    daemon.start()
    daemon.ask("ban", who=ANN)
    assert daemon.end() == 0
    assert ANN in daemon.table()

    daemon.start("--flush-on-exit")
    assert daemon.banned() == [ANN]
    assert daemon.end() == 0
    assert daemon.table() == ""


def test_a_stop_during_the_start_flushes_too(daemon):
    """The table is in the kernel before anything else of a start is done."""
    daemon.start()
    daemon.ask("ban", who=ANN)
    daemon.end()
    daemon.inside("nft", "delete", "table", "inet", "wp_sidecar")
    argv = [*daemon.enter, COMMAND, "run", "--flush-on-exit"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=daemon.environ) as process:
        wait_until(lambda: ANN in daemon.table(), timeout=30)
        process.terminate()
        _, stderr = process.communicate(timeout=60)

    assert process.returncode == 0, stderr
    assert daemon.table() == ""


def test_bans_by_hand(daemon):
    daemon.start()
    daemon.ask("ban", who="198.51.100.77/24", **{"for": -1, "reason": "spam"})
    daemon.ask("ban", who="2001:db8:1:2::3", jail="wordpress-access")
    daemon.ask("ban", who=ANN, **{"for": 60})

    assert {(ban["ip"], ban["jail"], ban["until"] is None) for ban in daemon.ask("bans")["bans"]} == {
        ("198.51.100.0/24", "manual", True),
        ("2001:db8:1:2::/64", "wordpress-access", False),
        (ANN, "manual", False),
    }
    assert daemon.ask("unban", who="198.51.100.0/24")["unbanned"] == [
        {"ip": "198.51.100.0/24", "jail": "manual"}
    ]
    assert len(daemon.ask("unban")["unbanned"]) == 2


def test_commands_that_are_refused_say_why_and_ban_nothing(daemon):
    daemon.start()
    for request, sentence in (
        ({"do": "ban", "who": "127.0.0.1"}, "127.0.0.1 is never banned: it is this host's own address"),
        ({"do": "ban", "who": "10.1.2.3"}, "10.1.2.3 is never banned: it is a private address"),
        ({"do": "ban", "who": ANN, "jail": "x"}, "x; there are wordpress, wordpress-access, manual"),
        (
            {"do": "ban", "who": ANN, "for": "soon"},
            "a ban lasts for a number of seconds, 1 or more, or -1 for good",
        ),
        ({"do": "ban", "who": ANN, "for": math.nan}, "a ban lasts for a number of seconds, 1 or more"),
        ({"do": "ban", "who": "localhost"}, "'localhost' is neither an address nor a network"),
        ({"do": "unban", "who": 7}, "'7' is neither an address nor a network"),
        ({"do": "dance"}, "dance"),
    ):
        with pytest.raises(AssertionError, match=re.escape(sentence)):
            daemon.ask(request.pop("do"), **request)

    assert daemon.banned() == []


def test_an_address_in_a_banned_network_is_not_unbanned_alone(daemon):
    daemon.start()
    daemon.ask("ban", who="203.0.113.0/24")

    with pytest.raises(AssertionError, match=f"^{ANN} is not banned by itself: it lies in 203.0.113.0/24"):
        daemon.ask("unban", who=ANN)
    assert daemon.banned() == ["203.0.113.0/24"]


def test_what_another_program_removes_from_the_table_is_restored(daemon):
    daemon.start()
    daemon.ask("ban", who=ANN)
    daemon.inside("nft", "flush", "ruleset")
    wait_until(lambda: ANN in daemon.table())
    daemon.inside("nft", "delete", "element", "inet", "wp_sidecar", "ban4", f"{{ {ANN} }}")

    wait_until(lambda: ANN in daemon.table())


def test_status_metrics_and_probes(daemon):
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: ANN in daemon.banned())
    status = daemon.ask("status")
    metrics = daemon.inside("curl", "-sS", "http://127.0.0.1:9734/metrics")

    assert {jail["name"]: (jail["failures"], jail["bans"], jail["active"]) for jail in status["jails"]} == {
        "wordpress": (3, 1, 1),
        "wordpress-access": (0, 0, 0),
        "manual": (0, 0, 0),
    }
    (log,) = status["streams"]
    assert (log["container"], log["state"], log["read"]) == (str(daemon.log), "open", 0)
    assert [jail["name"] for jail in log["jails"]] == ["wordpress", "wordpress-access"]
    assert (status["bans"], status["firewall"]["ok"]) == (1, True)
    assert 'wp_sidecar_bans_total{cause="failures",family="ipv4",jail="wordpress"} 1.0' in metrics
    assert ANN not in metrics
    assert daemon.inside("curl", "-sS", "http://127.0.0.1:9734/healthz") == "ok\n"


def test_a_jail_with_an_error_is_left_out_and_the_others_protect(daemon):
    daemon.configure(f"[mail]\nlogpath = {daemon.log}\nfilter = wordpress\nmaxretry = five")
    daemon.start(ready=False)
    daemon.fail(ANN, 3)
    wait_until(lambda: daemon.banned() == [ANN])

    sentence = 'mail.maxretry: expected a whole number from 1 up, got "five"'
    (why,) = daemon.ask("health")["why"]
    assert why.startswith("a jail is left out: ") and why.endswith(sentence)
    assert sentence in daemon.stderr()
    assert [jail["name"] for jail in daemon.ask("status")["jails"]] == [
        "wordpress",
        "wordpress-access",
        "manual",
    ]


def test_lines_that_are_slow_in_one_filter_hold_up_no_other(daemon):
    slow = f"[slow]\nlogpath = {daemon.log}\nfilter = wordpress\nfailregex = ^(?:a+)+ <HOST>$"
    daemon.configure(slow)
    daemon.start()
    with daemon.log.open("a") as log:
        log.write(f"{'a' * 60}!a {BOB}\n" * 8)
    daemon.fail(ANN, 3)
    wait_until(lambda: daemon.banned() == [ANN])

    (why,) = daemon.ask("health")["why"]
    assert why.startswith("filter wordpress took more than 1 s of a minute for single lines")


def test_a_reload_takes_the_jails_file_over_and_ends_no_ban(daemon):
    daemon.start()
    daemon.fail(ANN, 2)
    daemon.ask("ban", who=BOB, jail="wordpress-access")
    wait_until(lambda: daemon.ask("status")["jails"][0]["failures"] == 2)
    before = daemon.ask("bans")
    daemon.configure(f"findtime = 1h\n[third]\nfilter = wordpress\nlogpath = {daemon.log}\nport = 8443")
    reloaded = daemon.ask("reload")

    assert (reloaded["ok"], reloaded["jails"]) == (True, ["wordpress", "third", "wordpress-access"])
    assert daemon.ask("bans") == before
    # The third failure in the jail that was there, and the first in the new one.
    daemon.fail(ANN, 1)
    wait_until(lambda: ANN in daemon.banned())
    assert daemon.failures() == {"wordpress": 3, "third": 1, "wordpress-access": 0, "manual": 0}
    daemon.fail("203.0.113.9", 5)
    wait_until(lambda: {ban["jail"] for ban in daemon.ask("bans")["bans"]} >= {"wordpress", "third"})
    assert "203.0.113.9" in daemon.inside("nft", "list", "set", "inet", "wp_sidecar", "ban4_8443")
    assert daemon.metric("wp_sidecar_config_last_reload_successful") == 1


def test_a_reload_with_an_error_changes_nothing(daemon):
    daemon.start()
    read = daemon.metric("wp_sidecar_config_last_reload_success_timestamp_seconds")
    daemon.configure(f"maxretry = 2\n[mail]\nlogpath = {daemon.log}\nfilter = wordpress\nmaxretry = five")
    reloaded = daemon.ask("reload")
    daemon.fail(ANN, 2)
    wait_until(lambda: daemon.failures()["wordpress"] == 2)

    sentence = 'mail.maxretry: expected a whole number from 1 up, got "five"'
    assert not reloaded["ok"]
    assert [error["message"] for error in reloaded["mistakes"]] == [sentence.removeprefix("mail.maxretry: ")]
    assert sentence in daemon.stderr()
    assert daemon.banned() == []
    assert [jail["maxretry"] for jail in daemon.ask("status")["jails"]] == [3, 5, 5]
    health = daemon.ask("health")
    # It does what it did, but somebody should look.
    assert health["ready"] and len(health["why"]) == 1
    assert daemon.metric("wp_sidecar_config_last_reload_successful") == 0
    assert daemon.metric("wp_sidecar_config_last_reload_success_timestamp_seconds") == read

    daemon.configure("maxretry = 2")
    assert daemon.ask("reload")["ok"]
    assert daemon.ask("health") == {"live": True, "ready": True, "why": []}
    daemon.fail(ANN, 1)
    wait_until(lambda: daemon.banned() == [ANN])


def test_the_reload_command_reports_errors_as_check_config_does(daemon, monkeypatch):
    monkeypatch.setenv("WP_SIDECAR_JAILS", str(daemon.folder / "jails.conf"))
    monkeypatch.setenv("WP_SIDECAR_SOCKET", str(daemon.folder / "control.sock"))
    daemon.start()

    def command(name: str) -> tuple[int, str, str]:
        done = subprocess.run([COMMAND, name], capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    assert command("reload") == (0, "in force now: wordpress, wordpress-access\n", "")
    daemon.configure("maxretry = five\n[mail]\nfilter = mial")
    code, _, errors = command("check-config")
    unchanged = "wp-sidecar: nothing was changed, the old configuration stays in force\n"
    assert len(errors.splitlines()) == 2
    assert command("reload") == (code, "", errors + unchanged) == (78, "", errors + unchanged)


def test_sighup_is_a_reload(daemon):
    daemon.start()
    daemon.configure("maxretry = five")
    daemon.hang_up()
    wait_until(lambda: 'wordpress.maxretry: expected a whole number from 1 up, got "five"' in daemon.stderr())
    daemon.configure("maxretry = 1")
    for _ in range(20):
        daemon.hang_up()
    wait_until(lambda: daemon.ask("status")["jails"][0]["maxretry"] == 1)
    daemon.fail(ANN, 1)
    wait_until(lambda: daemon.banned() == [ANN])

    assert daemon.end() == 0


def test_a_removed_jail_counts_no_more_and_its_bans_stay(daemon):
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: daemon.banned() == [ANN])
    daemon.configure("enabled = false")
    assert daemon.ask("reload")["jails"] == ["wordpress-access"]
    daemon.fail(BOB, 3)
    daemon.ask("ban", who="203.0.113.9", jail="wordpress-access")

    assert daemon.banned() == [ANN, "203.0.113.9"]
    assert ANN in daemon.table()
    assert daemon.ask("unban", who=ANN)["unbanned"] == [{"ip": ANN, "jail": "wordpress"}]
    daemon.configure()
    assert daemon.ask("reload")["jails"] == ["wordpress", "wordpress-access"]
    daemon.fail(BOB, 3)
    wait_until(lambda: BOB in daemon.banned())


def test_a_reload_unbans_what_its_ignoreip_has_and_nothing_else(daemon):
    daemon.start()
    for address in (ANN, BOB):
        daemon.ask("ban", who=address, jail="wordpress")
    daemon.configure(f"ignoreip = {ANN}")
    daemon.ask("reload")

    assert daemon.banned() == [BOB]
    assert ANN not in daemon.table()
    assert f"[wordpress] Unban {ANN} (allowed)" in daemon.stderr()


def test_a_reload_brings_in_a_jail_that_the_start_left_out(daemon):
    mail = f"[mail]\nlogpath = {daemon.log}\nfilter = wordpress\nmaxretry = %s"
    daemon.configure(mail % "five")
    daemon.start(ready=False)
    daemon.configure(mail % "1")
    assert daemon.ask("reload")["ok"]
    daemon.fail(ANN, 1)
    wait_until(lambda: daemon.banned() == [ANN])

    assert daemon.ask("health") == {"live": True, "ready": True, "why": []}


def test_a_reload_follows_other_files(daemon):
    daemon.start()
    first, daemon.log = daemon.log, daemon.folder / "other.log"
    daemon.log.touch()
    daemon.configure()
    daemon.ask("reload")
    wait_until(lambda: [each["container"] for each in daemon.ask("status")["streams"]] == [str(daemon.log)])
    daemon.fail(ANN, 3)
    wait_until(lambda: daemon.banned() == [ANN])
    daemon.log = first
    daemon.configure()
    # Nothing follows this file now. It is read from there on once something does again.
    daemon.fail(BOB, 2)
    daemon.ask("reload")
    daemon.fail(BOB, 1)

    wait_until(lambda: daemon.banned() == [ANN, BOB])


def test_a_filter_that_is_edited_is_another_filter(daemon, monkeypatch):
    (daemon.folder / "filters").mkdir()
    monkeypatch.setenv("WP_SIDECAR_FILTERS", str(daemon.folder / "filters"))
    mine = daemon.folder / "filters" / "wordpress.conf"
    mine.write_text("[Definition]\nfailregex = ^one <HOST>$\n")
    daemon.start()
    mine.write_text("[Definition]\nfailregex = ^two <HOST>$\n")
    daemon.ask("reload")
    with daemon.log.open("a") as log:
        log.write(f"one {ANN}\ntwo {BOB}\n" * 3)

    wait_until(lambda: daemon.banned() == [BOB])
    mine.write_text("[Definition]\nfailregex = ^(two <HOST>$\n")
    (error,) = daemon.ask("reload")["mistakes"]
    assert (error["file"], error["line"]) == (str(mine), 2)


def test_a_filter_that_is_prone_to_redos_is_found_in_a_reload_too(daemon):
    """In the thread that asked, while the loop goes on."""
    daemon.start()
    daemon.configure(f"[slow]\nlogpath = {daemon.log}\nfilter = wordpress\nfailregex = ^(?:a+)+ <HOST>$")
    (note,) = daemon.ask("reload")["notes"]

    assert "may take for ever on" in note
    with daemon.log.open("a") as log:
        log.write(f"{'a' * 60}!a {BOB}\n" * 8)
    # The filter is suspended.
    wait_until(lambda: len(daemon.ask("health")["why"]) == 1)
    daemon.configure()
    daemon.ask("reload")
    assert daemon.ask("health") == {"live": True, "ready": True, "why": []}


def test_a_reload_reads_a_secret_again(daemon, monkeypatch):
    """A web server inside the namespace writes down where posts go."""
    (daemon.folder / "url").write_text("http://127.0.0.1:9999/old")
    monkeypatch.setenv("SLACK_WEBHOOK_URL_FILE", str(daemon.folder / "url"))
    with daemon.web_server(9999) as posts:
        daemon.start()
        wait_until(lambda: "POST /old " in posts.read_text())
        (daemon.folder / "url").write_text("no address")
        (error,) = daemon.ask("reload")["mistakes"]
        assert error["key"] == "SLACK_WEBHOOK_URL_FILE" and "no address" not in str(error)
        (daemon.folder / "url").write_text("http://127.0.0.1:9999/new")
        daemon.ask("reload")
        daemon.ask("ban", who=ANN)
        wait_until(lambda: "POST /new " in posts.read_text())


def test_during_reloads_each_line_counts_exactly_once(daemon, monkeypatch):
    """A writer at speed, and ten reloads that each change its filter, and other jails and files beside it."""
    (daemon.folder / "filters").mkdir()
    monkeypatch.setenv("WP_SIDECAR_FILTERS", str(daemon.folder / "filters"))
    stop, written = threading.Event(), []

    def configure(turn: int) -> None:
        # Another expression makes it another filter, and so the matcher another.
        never = f"  ^never {turn} <HOST>$"
        numbered = f"[Definition]\nfailregex = ^number \\d+ from <HOST>$\n{never}\n"
        (daemon.folder / "filters" / "numbered.conf").write_text(numbered)
        other = daemon.folder / f"other-{turn}.log"
        other.touch()
        daemon.configure(
            f"[numbered]\nlogpath = {daemon.log}\nmaxretry = {1000 + turn}\n"
            f"[more-{turn}]\nfilter = wordpress\nlogpath = {other}"
        )

    def write() -> None:
        with daemon.log.open("a", buffering=1) as log:
            while not stop.wait(0.0005):
                log.write(f"number {len(written)} from 203.0.113.{len(written) % 250}\n")
                written.append(len(written))

    configure(0)
    daemon.log.touch()
    daemon.start()
    daemon.wait_until_read(daemon.log)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for turn in range(1, 11):
            configure(turn)
            assert daemon.ask("reload")["jails"] == [
                "wordpress",
                "numbered",
                f"more-{turn}",
                "wordpress-access",
            ]
    finally:
        stop.set()
        writer.join()
    wait_until(lambda: daemon.failures()["numbered"] >= len(written))
    wait_until(lambda: len(stored_lines(daemon, jail="numbered")) >= len(written))

    assert len(written) > 500
    assert sorted(int(line.split()[1]) for line in stored_lines(daemon, jail="numbered")) == written


def test_a_jail_closes_its_own_ports(daemon):
    daemon.start()
    daemon.ask("ban", who=ANN, jail="wordpress-access")

    assert ANN in daemon.inside("nft", "list", "set", "inet", "wp_sidecar", "ban4_8080")
    assert ANN not in daemon.inside("nft", "list", "set", "inet", "wp_sidecar", "ban4")


def test_without_a_store_it_bans_and_the_store_is_opened_once_that_is_possible(daemon):
    state = daemon.folder / "state"
    daemon.start()
    daemon.ask("ban", who=ANN, jail="wordpress")
    daemon.end()
    state.rename(daemon.folder / "elsewhere")
    # A file where the folder should be.
    state.touch()
    daemon.start(ready=False)
    daemon.fail(BOB, 3)
    # The first ban is adopted from the kernel's table.
    wait_until(lambda: {*daemon.banned()} == {ANN, BOB})
    (why,) = daemon.ask("health")["why"]
    assert f"{state / 'state.db'} cannot be opened" in why
    assert not daemon.is_ready()
    assert "bans are not remembered: " in daemon.stderr()

    state.unlink()
    (daemon.folder / "elsewhere").rename(state)
    # It tries every half minute.
    wait_until(daemon.is_ready, timeout=60)
    daemon.end(signal.SIGKILL)
    daemon.start()
    assert {*daemon.banned()} == {ANN, BOB}


def test_a_store_that_is_deleted_is_written_again(daemon):
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: daemon.banned() == [ANN])
    for path in (daemon.folder / "state").iterdir():
        path.unlink()
    # It looks every half minute.
    wait_until((daemon.folder / "state" / "state.db").exists, timeout=60)
    wait_until(lambda: "it was taken away" in daemon.stderr())
    daemon.end(signal.SIGKILL)
    daemon.start()

    assert daemon.banned() == [ANN]


def test_a_name_that_does_not_resolve_delays_nothing(daemon, monkeypatch):
    monkeypatch.setenv("WP_SIDECAR_IGNOREIP", "office.example.org 203.0.113.9")
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: ANN in daemon.banned())
    sentence = (
        "office.example.org in ignoreip does not resolve, so its addresses may be banned; correct the name, or see "
        "whether the name servers in /etc/resolv.conf answer"
    )
    wait_until(lambda: sentence in daemon.ask("health")["why"])

    assert daemon.ask("health")["ready"]


def test_bans_beyond_the_budget_are_a_dry_run(daemon, monkeypatch):
    monkeypatch.setenv("WP_SIDECAR_BANBUDGET", "2/1h")
    daemon.start()
    for address in (ANN, BOB, "203.0.113.9"):
        daemon.fail(address, 3)
        wait_until(lambda address=address: address in daemon.stderr())
    wait_until(lambda: any("more than 2 bans within 3600 s" in why for why in daemon.ask("health")["why"]))

    table = daemon.table()
    assert [address in table for address in (ANN, BOB, "203.0.113.9 ")] == [True, True, False]
    assert daemon.ask("health")["ready"]


def test_new_addresses_of_the_host_are_unbanned_and_packets_of_its_container_networks_accepted(daemon):
    """Without a container engine that reports it: the kernel is asked every 30 s."""
    daemon.start()
    for address in (ANN, "198.51.100.7"):
        daemon.ask("ban", who=address)
    daemon.inside("ip", "address", "add", f"{ANN}/32", "dev", "lo")
    daemon.inside("ip", "link", "add", "docker9", "type", "veth", "peer", "name", "inside")
    daemon.inside("ip", "link", "set", "docker9", "up")
    daemon.inside("ip", "address", "add", "198.51.100.1/24", "dev", "docker9")
    # A network that somebody makes and removes again ends no ban.
    wait_until(lambda: daemon.banned() == ["198.51.100.7"])

    allowed = daemon.inside("nft", "list", "set", "inet", "wp_sidecar", "allow4")
    assert ANN in allowed and "198.51.100.0/24" in allowed
    with pytest.raises(AssertionError, match=r"198\.51\.100\.8 is never banned: it is a container network"):
        daemon.ask("ban", who="198.51.100.8")


def test_a_cdn_is_not_banned_unless_it_is_taken_off_the_allowlist(daemon, monkeypatch):
    node = "198.51.100.7"
    (daemon.folder / "cdn.conf").write_text("[example]\nas-of = 2026-11-22\n198.51.100.0/24\n")
    monkeypatch.setenv("WP_SIDECAR_CDN_FILE", str(daemon.folder / "cdn.conf"))
    daemon.start()
    with pytest.raises(AssertionError, match=f"{node} is never banned: it is an address of the CDN example"):
        daemon.ask("ban", who=node)
    daemon.fail(node, 3)
    daemon.fail(ANN, 3)
    wait_until(lambda: daemon.banned() == [ANN])
    daemon.end()

    monkeypatch.setenv("WP_SIDECAR_ALLOW_CDN", "none")
    daemon.start()
    daemon.fail(node, 3)
    wait_until(lambda: node in daemon.banned())


def test_without_its_store_it_adopts_the_bans_in_the_kernel(daemon):
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: ANN in daemon.banned())
    daemon.end(signal.SIGKILL)
    # Or it would be read again, and ban again.
    daemon.log.write_text("")
    for path in (daemon.folder / "state").iterdir():
        path.unlink()

    # The second time from the store.
    for cause in ("adopted", "adopted"):
        daemon.start()
        (ban,) = daemon.ask("bans")["bans"]
        assert (ban["ip"], ban["jail"], ban["cause"]) == (ANN, "manual", cause)
        assert 3500 < ban["until"] - time.time() <= 3601
        assert ANN in daemon.table()
        daemon.end()
    assert daemon.stderr().count("the store has no bans: the 1 in the kernel stay in force") == 1


def test_a_store_that_is_damaged_while_it_runs_is_replaced_by_one_with_everything_in_force(daemon):
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: daemon.banned() == [ANN])
    path = daemon.folder / "state" / "state.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        # A change by another process, so that SQLite reads the pages again.
        other.execute("INSERT INTO cursors VALUES ('other', '', 0)")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    daemon.fail(BOB, 3)
    wait_until(lambda: daemon.banned() == [ANN, BOB])
    said = "was damaged (database disk image is malformed): bans, history and log positions"
    wait_until(lambda: said in daemon.stderr(), message=daemon.stderr)
    wait_until(daemon.is_ready)
    daemon.end(signal.SIGKILL)
    daemon.start()

    assert daemon.banned() == [ANN, BOB]
    # No line is read again.
    assert not any(daemon.failures().values())


def test_a_store_that_is_damaged_at_the_start_is_logged(daemon):
    (daemon.folder / "state").mkdir()
    (daemon.folder / "state" / "state.db").write_bytes(b"damaged" * 1000)
    daemon.start()

    assert "state.db was damaged (file is not a database): bans and log positions are lost" in daemon.stderr()


def test_on_a_full_disk_it_bans_and_stores_once_there_is_room(daemon):
    state = daemon.folder / "state"

    def story():
        state.mkdir()
        mount_small_disk(state)
        daemon.start()
        fill(state / "rest")
        for address in (ANN, BOB):
            daemon.fail(address, 3)
            wait_until(lambda address=address: address in daemon.banned() and address in daemon.table())
        wait_until(lambda: not daemon.is_ready())
        (why,) = daemon.ask("health")["why"]
        (state / "rest").unlink()
        # It tries every half minute, if nothing else comes.
        wait_until(daemon.is_ready, timeout=60)
        daemon.end(signal.SIGKILL)
        daemon.start()

        assert daemon.banned() == [ANN, BOB]
        assert why.endswith(
            "cannot be written (database or disk is full): its directory has to be writable, with room on the disk"
        )
        daemon.end()

    in_own_mounts(story)


def test_the_enforcement_ratio_dips_when_another_program_breaks_the_table(daemon):
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: ANN in daemon.banned())
    wait_until(lambda: daemon.metric("wp_sidecar_firewall_enforcement_ratio") == 1)
    daemon.inside("nft", "delete", "element", "inet", "wp_sidecar", "ban4", f"{{ {ANN} }}")
    wait_until(lambda: daemon.metric("wp_sidecar_firewall_enforcement_ratio") == 0)
    # It is repaired at once.
    assert re.search(rf"elements = {{ {ANN} timeout", daemon.table())


def test_a_ban_without_effect_is_logged_with_the_reason(daemon):
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: ANN in daemon.banned())
    # These elements say that the table is too young to know which addresses sent packets.
    daemon.inside("nft", "delete", "element", "inet", "wp_sidecar", "missed", "{ ipv4, ipv6 }")
    later = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%d-%b-%Y %H:%M:%S UTC")
    with daemon.log.open("a") as log:
        log.write(f"[{later}] wordpress(blog)[7]: Authentication failure for admin from {ANN}\n")
    wait_until(lambda: daemon.metric('wp_sidecar_bypassed_bans_total{kind="hook"}') == 1)

    assert (
        f"the ban of {ANN} has no effect at {daemon.log}: no packet came to the ports of a jail within the last hour"
        in daemon.stderr()
    )


def test_the_format_of_an_access_log_is_the_jails_and_a_reload_changes_it(daemon):
    def formats() -> list[tuple[str, int]]:
        return [(log["format"], log["understood"]) for log in daemon.ask("status")["streams"]]

    def guess(line: str) -> None:
        with daemon.log.open("a") as log:
            log.write(f"{line}\n" * 5)

    jail = f"[guesses]\nfilter = wordpress-access\nlogpath = {daemon.log}\nlogformat = "
    daemon.configure(f'{jail}$status $remote_addr "$request"')
    daemon.log.touch()
    daemon.start()
    daemon.wait_until_read(daemon.log)
    guess(f'200 {ANN} "POST /wp-login.php HTTP/1.1"')
    wait_until(lambda: ANN in daemon.banned())
    assert formats() == [("logformat of guesses", 5)]

    daemon.configure(f"{jail}log_format main '$remote_addr|$request_method|$request_uri|$status';")
    assert daemon.ask("reload")["ok"]
    guess(f"{BOB}|POST|/wp-login.php|200")
    wait_until(lambda: BOB in daemon.banned())
    assert formats() == [("logformat of guesses", 5)]


def test_with_a_read_only_state_directory_unbanned_clients_stay_unbanned_over_restarts(daemon):
    def story():
        state = daemon.folder / "state"
        state.mkdir()
        mount_small_disk(state)
        daemon.start()
        daemon.fail(ANN, 3)
        wait_until(lambda: daemon.banned() == [ANN])
        daemon.end()
        mount("-o", "remount,ro", state)
        daemon.start(ready=False)
        # From the kernel.
        wait_until(lambda: daemon.banned() == [ANN])
        daemon.ask("unban", who=ANN)
        daemon.fail(BOB, 3)
        wait_until(lambda: daemon.banned() == [BOB])
        daemon.end()

        daemon.start(ready=False)
        assert daemon.banned() == [BOB]
        daemon.fail("203.0.113.9", 3)
        wait_until(lambda: len(daemon.banned()) > 1)
        assert set(daemon.banned()) == {BOB, "203.0.113.9"}
        daemon.end()

    in_own_mounts(story)


def left_s(daemon):
    """Return how much is left of each ban: by the daemon and its clock, and by the kernel."""
    [found] = [
        json.loads(daemon.inside("nft", "-j", "list", "set", "inet", "wp_sidecar", "ban4"))["nftables"][1][
            "set"
        ]
    ]
    kernel = {each["elem"]["val"]: each["elem"]["expires"] for each in found["elem"]}
    ours = {ban["ip"]: ban["until"] - daemon.now for ban in daemon.ask("bans")["bans"]}
    assert ours == pytest.approx(kernel, abs=3)
    return ours


@pytest.mark.parametrize("ahead_s", [86_400.0, -10 * 365 * 86_400.0])
def test_a_clock_that_is_set_ends_no_ban_and_makes_none_longer(daemon, ahead_s):
    daemon.start()
    daemon.wait_until_read(daemon.log)
    daemon.fail(ANN, 3)
    daemon.fail(BOB, 2)
    wait_until(lambda: (daemon.banned(), daemon.failures()["wordpress"]) == ([ANN], 5))
    daemon.set_clock(ahead_s)
    wait_until(lambda: "the clock was set" in daemon.stderr())

    assert left_s(daemon) == {ANN: pytest.approx(3595, abs=5)}
    # Failures keep their age, and a ban that is made now is as long as any.
    daemon.fail(BOB, 1)
    wait_until(lambda: BOB in daemon.banned())
    assert left_s(daemon) == {ANN: pytest.approx(3590, abs=10), BOB: pytest.approx(3595, abs=5)}

    # It is right again, and nobody was there to see it.
    daemon.end(signal.SIGKILL)
    daemon.set_clock(0.0)
    daemon.start()
    assert left_s(daemon) == {ANN: pytest.approx(3580, abs=20), BOB: pytest.approx(3580, abs=20)}
    assert daemon.is_ready()
