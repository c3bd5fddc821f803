"""The four dashboards. `python -m dashboards` writes them to `boards/`, from where Grafana and the chart take them."""

from __future__ import annotations

from typing import Final

from dashboards.panels import (
    NOTHING_IS_GOOD,
    ONE_IS_GOOD,
    WARNING,
    WELL,
    Column,
    Json,
    annotation,
    board,
    counted,
    graph,
    heatmap,
    of,
    or_zero,
    quantile,
    rate,
    row,
    series,
    stat,
    table,
    timeline,
    variable,
)

DAY: Final = "24h"
SITE_BOARD: Final = (
    "/d/wp-sidecar-site?${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"
    "&var-container=${__value.raw}&${__url_time_range}"
)
DAEMON_BOARD: Final = "/d/wp-sidecar-daemon?${datasource:queryparam}&${job:queryparam}&var-instance=${__value.raw}&${__url_time_range}"

JOB = variable("job", "Job", "label_values(wp_sidecar_build_info, job)")
INSTANCE = variable("instance", "Host", 'label_values(wp_sidecar_build_info{job=~"$job"}, instance)')
JAIL = variable("jail", "Jail", f"label_values({of('failures_total')}, jail)")
SITES = variable("container", "Site", f"label_values({of('log_up')}, container)")
SITE = variable("container", "Site", f"label_values({of('log_up')}, container)", several=False)

RESTARTS = annotation(
    "Restart", "purple", f"{series('process_start_time_seconds')} * 1000", "{{instance}}", at_value=True
)
RELOADS = annotation(
    "Reload", "blue", f"{of('config_last_reload_success_timestamp_seconds')} * 1000 > 0", "{{instance}}",
    at_value=True,
)  # fmt: skip
BANS = annotation(
    "Bans", "orange", f"sum by (jail) (increase({of('bans_total', 'jail')}[1m])) > 0", "{{jail}}"
)
SITE_BANS = annotation(
    "Bans", "orange",
    f"sum by (jail) (increase({of('site_bans_total', 'container', 'jail')}[1m])) > 0", "{{jail}}",
)  # fmt: skip

# Each attacker is counted once: by the host that decided, not by the others of its fleet, nor by a run that finds the ban.
NEW: Final = {"not_cause": "fleet|adopted"}
READ = {"0": "not read", "1": "read"}
READY = {"0": "not ready", "1": "ready"}
DROP_BUCKETS = of("log_to_drop_seconds_bucket")


def overview() -> Json:
    """What an operator looks at first: are attackers stopped, is each site watched, is protection ready?"""
    bans, observed = of("bans_total", "jail", **NEW), of("dry_run_bans_total", "jail", **NEW)
    enforced = f"sum({counted(bans, DAY)}) - sum({counted(observed, DAY)})"
    site_bans, site_observed = (
        of(f"site_{name}_total", "container", "jail") for name in ("bans", "dry_run_bans")
    )
    site_failures = of("site_failures_total", "container", "jail")
    return board(
        "wp-sidecar", "wp-sidecar: overview",
        "Are attackers stopped, is each site watched, is protection ready?",
        variables=(JOB, INSTANCE, SITES, JAIL), annotations=(BANS, RESTARTS, RELOADS),
        rows=(
            row(
                "Is everything protected?",
                stat("Protection", "Whether logs are read and bans are in force, on each of the chosen hosts.",
                     f"min({of('ready')})", steps=ONE_IS_GOOD, words=READY),
                stat("Problems", "What is wrong now. The table of problems below names them.",
                     or_zero(f"sum({of('problem')})"), steps=NOTHING_IS_GOOD),
                stat("Logs being read", "Logs of containers and files that are being read now.",
                     f"sum({of('log_up')})", steps=ONE_IS_GOOD),
                stat("Logs not read", "Watched logs that are not being read now: stopped containers, and logs that cannot"
                     " be read.", or_zero(f"count({of('log_up')} == 0)"), steps=((None, "green"), (1, WARNING))),
                stat("Bans in the kernel", "Share of the bans in force that the last check found in the kernel.",
                     f"min({of('firewall_enforcement_ratio')})", unit="percentunit", steps=ONE_IS_GOOD),
                stat("Bypassed bans, last 24 h", "Banned addresses that still got through to a site.",
                     f"sum({counted(of('bypassed_bans_total'), DAY)})", steps=NOTHING_IS_GOOD),
            ),
            row(
                "Are attackers stopped?",
                stat("Bans in force", "Addresses (IPv6: /64 networks) that are banned now.",
                     f"sum({of('bans_active', 'jail')})"),
                stat("Banned, last 24 h", "New bans that were decided here and enforced. Those that are only observed are not in it, nor those of other hosts of a fleet.", enforced),
                stat("Only observed, last 24 h", "Bans that were decided and not enforced: the jail or the container only"
                     " observes, or the ban budget is exceeded.", f"sum({counted(observed, DAY)})"),
                stat("Packets dropped, last 24 h", "Packets that banned addresses sent nevertheless.",
                     f"sum({counted(of('dropped_packets_total'), DAY)})"),
                stat("Failures, last 24 h", "Log lines that matched the filter of a jail.",
                     f"sum({counted(of('failures_total', 'jail'), DAY)})"),
                stat("From log line to drop", "Median time from the log line that completed a ban until the ban was in"
                     " force, over 24 hours.", quantile(0.5, DROP_BUCKETS, DAY), unit="s"),
                graph("Failures by jail", "Log lines a minute that matched the filter, whether or not they counted.",
                      (rate(of("failures_total", "jail"), "jail"), "{{jail}}"), stacked=True),
                graph("New bans by jail", "Bans a minute that are enforced, and those that are only observed.",
                      (f"{rate(bans, 'jail')} - {rate(observed, 'jail')}", "{{jail}}"),
                      (f"{rate(observed, 'jail')} > 0", "{{jail}}, observed")),
                graph("Bans in force", "By jail and IP version. An IPv6 ban covers a /64.",
                      (f"sum by (jail, family) ({of('bans_active', 'jail')})", "{{jail}}, {{family}}"), stacked=True),
                graph("Packets dropped", "Packets a second that banned addresses still send, by IP version.",
                      (rate(of("dropped_packets_total"), "family", "second"), "{{family}}"), unit="pps"),
                heatmap("From log line to drop", "How many bans took how long, from the timestamp of the log line that"
                        " completed the ban until it was in force.", DROP_BUCKETS),
                graph("Unbans", "Bans a minute that ended, by cause.",
                      (rate(of("unbans_total", "jail"), "cause"), "{{cause}}")),
            ),
            row(
                "Sites and jails",
                table("Sites", "Each site's log, and its last 24 hours. A name leads to the dashboard of that site.",
                      {"container": "Site", "instance": "Host"},
                      Column("Log", f"max by (container, instance) ({of('log_up', 'container')})", words=READ),
                      Column("Failures", f"sum by (container, instance) ({counted(site_failures, DAY)})"),
                      Column("Bans", f"sum by (container, instance) ({counted(site_bans, DAY)})"
                             f" - sum by (container, instance) ({counted(site_observed, DAY)})"),
                      Column("Only observed", f"sum by (container, instance) ({counted(site_observed, DAY)})"),
                      Column("Last line, ago", "time() - max by (container, instance)"
                             f" ({of('log_last_line_timestamp_seconds', 'container')})", "s"),
                      link=SITE_BOARD, width=14),
                table("Jails", "The last 24 hours of each jail, and what is in force now.", {"jail": "Jail"},
                      Column("Failures", f"sum by (jail) ({counted(of('failures_total', 'jail'), DAY)})"),
                      Column("Bans", f"sum by (jail) ({counted(bans, DAY)}) - sum by (jail) ({counted(observed, DAY)})"),
                      Column("Only observed", f"sum by (jail) ({counted(observed, DAY)})"),
                      Column("In force", f"sum by (jail) ({of('bans_active', 'jail')})"), width=10),
            ),
            row(
                "What is not stopped, and why",
                table("Problems", f"What is wrong now; `wp-sidecar status` has a sentence about each. {WELL}",
                      {"problem": "Problem", "instance": "Host"},
                      Column("State", f"max by (problem, instance) ({of('problem')}) == 1", words={"1": "now"}),
                      width=12),
                graph("Attacks that cannot be banned", "Failures a minute of addresses that are never banned, such as"
                      f" proxies and gateways, by site and reason. {WELL}",
                      (f"{rate(of('allowlisted_failures_total', 'container'), 'container, reason')} > 0",
                       "{{container}}: {{reason}}")),
                graph("Bypassed bans", "Banned addresses that were logged again by the same container, by what lets them"
                      f" through. {WELL}", (f"{rate(of('bypassed_bans_total'), 'kind')} > 0", "{{kind}}")),
                graph("Ignored failures", f"Failures a minute that did not count, by reason. {WELL}",
                      (f"{rate(of('ignored_failures_total'), 'reason')} > 0", "{{reason}}")),
            ),
        ),
    )  # fmt: skip


def site() -> Json:
    """One site: its log, its failures and its bans."""
    failures, bans, observed = (
        of(f"site_{name}_total", "container", "jail") for name in ("failures", "bans", "dry_run_bans")
    )
    lines = of("log_lines_total", "container")
    return board(
        "wp-sidecar-site", "wp-sidecar: one site", "One site: is its log read, who fails, who is banned?",
        variables=(JOB, INSTANCE, SITE, JAIL), annotations=(SITE_BANS, RESTARTS, RELOADS),
        rows=(
            row(
                "Now, and the last 24 hours",
                stat("Log", "Whether the log is being read.", f"min({of('log_up', 'container')})", steps=ONE_IS_GOOD,
                     words=READ),
                stat("Last line, ago", "A quiet site is normal; a busy site that falls silent is not.",
                     f"time() - max({of('log_last_line_timestamp_seconds', 'container')})", unit="s", decimals=0),
                stat("Failures, last 24 h", "Log lines that matched the filter of a jail.",
                     f"sum({counted(failures, DAY)})"),
                stat("Banned, last 24 h", "New bans by the log of this site that were enforced.",
                     f"sum({counted(bans, DAY)}) - sum({counted(observed, DAY)})"),
                stat("Only observed, last 24 h", "Bans by the log of this site that were decided and not enforced.",
                     f"sum({counted(observed, DAY)})"),
                stat("Lines, last 24 h", "Log lines that were read.", f"sum({counted(lines, DAY)})"),
            ),
            row(
                "Attacks",
                graph("Failures by jail", "Log lines a minute that matched the filter.",
                      (rate(failures, "jail"), "{{jail}}"), stacked=True),
                graph("New bans by jail", "Bans a minute that are enforced, and those that are only observed.",
                      (f"{rate(bans, 'jail')} - {rate(observed, 'jail')}", "{{jail}}"),
                      (f"{rate(observed, 'jail')} > 0", "{{jail}}, observed")),
                table("Jails", "The last 24 hours of this site, by jail.", {"jail": "Jail"},
                      Column("Failures", f"sum by (jail) ({counted(failures, DAY)})"),
                      Column("Bans", f"sum by (jail) ({counted(bans, DAY)}) - sum by (jail) ({counted(observed, DAY)})"),
                      Column("Only observed", f"sum by (jail) ({counted(observed, DAY)})"), width=12),
                graph("Attacks that cannot be banned", "Failures a minute of addresses that are never banned, by reason."
                      f" {WELL}",
                      (f"{rate(of('allowlisted_failures_total', 'container'), 'reason')} > 0", "{{reason}}")),
            ),
            row(
                "The log",
                graph("Lines read", "Log lines a second, by stream. Files have no stream.",
                      (rate(lines, "stream", "second"), "lines {{stream}}"), unit="short"),
                graph("Share of failures", "How many of the lines are failures, of all jails together.",
                      (f"sum(rate({failures}[$__rate_interval])) / (sum(rate({lines}[$__rate_interval])) > 0)",
                       "share"), unit="percentunit"),
                timeline("Is the log read?", "Red while it is not.", f"min by (instance) ({of('log_up', 'container')})",
                         "{{instance}}", READ),
                graph("Opened again, cut and lost", "Times in five minutes that the log was opened again, by reason; lines"
                      " that were cut; gaps in which lines were rotated away unread.",
                      (f"sum by (reason) (increase({of('log_reopens_total', 'container')}[5m]))", "opened: {{reason}}"),
                      (f"sum(increase({of('log_lines_truncated_total', 'container')}[5m]))", "lines cut"),
                      (f"sum(increase({of('log_gaps_total', 'container')}[5m]))", "gaps")),
            ),
        ),
    )  # fmt: skip


def daemon() -> Json:
    """The sidecar itself: how fast it decides, what waits, what it costs, what it repaired."""
    turns = of("turn_seconds_bucket")
    writes = of("store_write_seconds_bucket")
    transactions = of("firewall_transaction_duration_seconds_bucket")
    return board(
        "wp-sidecar-daemon", "wp-sidecar: the sidecar itself",
        "How fast wp-sidecar decides, what waits, what it costs and what it repaired.",
        variables=(JOB, INSTANCE), annotations=(RESTARTS, RELOADS),
        rows=(
            row(
                "Now",
                stat("Ready", "Whether logs are read and bans are in force.", f"min({of('ready')})", steps=ONE_IS_GOOD,
                     words=READY),
                stat("Running since", "The time since the last start; the shortest of the chosen hosts.",
                     f"time() - max({series('process_start_time_seconds')})", unit="s", decimals=0),
                stat("Configuration", "Whether the configuration that was read last is in force.",
                     f"min({of('config_last_reload_successful')})", steps=ONE_IS_GOOD,
                     words={"0": "has errors", "1": "in force"}),
                stat("Ban budget", "Whether so many bans are due that new ones are not enforced.",
                     f"max({of('ban_budget_exceeded')})", steps=NOTHING_IS_GOOD, words={"0": "kept", "1": "exceeded"}),
                stat("Lines a second", "Log lines that are read.",
                     f"sum(rate({of('log_lines_total')}[$__rate_interval]))"),
                stat("Memory", "Resident memory; the most of the chosen hosts.",
                     f"max({series('process_resident_memory_bytes')})", unit="bytes"),
                timeline("Readiness", "Red while logs are not read, or bans are not in force.",
                         f"min by (instance) ({of('ready')})", "{{instance}}", READY),
                table("Versions", "What runs on which host.", {"instance": "Host", "version": "Version"},
                      Column("Running", f"max by (instance, version) ({of('build_info')})", words={"1": "yes"}),
                      link=DAEMON_BOARD, width=12),
            ),
            row(
                "The loop",
                heatmap("Duration of turns", "How many turns of the loop took how long.", turns),
                graph("Slowest turns", "Duration of the loop's turns that had something to do.",
                      (quantile(0.5, turns), "median"), (quantile(0.99, turns), "99 %"), unit="s"),
                graph("From log line to drop", "Time from the timestamp of the log line that completed a ban until the ban"
                      " is in force.",
                      (quantile(0.5, DROP_BUCKETS), "median"), (quantile(0.99, DROP_BUCKETS), "99 %"), unit="s"),
                graph("What waits", "Batches of log lines that wait for the loop, messages that wait for their service,"
                      " and whether the store is behind.",
                      (f"max by (instance) ({of('inbox_batches')})", "{{instance}}: batches"),
                      (f"sum by (instance, sender) ({of('alerts_waiting')})", "{{instance}}: messages to {{sender}}"),
                      (f"max by (instance) ({of('store_behind')})", "{{instance}}: store behind")),
            ),
            row(
                "What it costs",
                graph("Memory", "Resident memory of the process.",
                      (f"max by (instance) ({series('process_resident_memory_bytes')})", "{{instance}}"), unit="bytes",
                      width=8),
                graph("CPU", "Share of one core.",
                      (f"sum by (instance) (rate({series('process_cpu_seconds_total')}[$__rate_interval]))",
                       "{{instance}}"), unit="percentunit", width=8),
                graph("Open files", "Open file descriptors of the process.",
                      (f"max by (instance) ({series('process_open_fds')})", "{{instance}}"), width=8),
                graph("Addresses in memory", "Addresses with failures that may still lead to a ban, by jail; addresses"
                      " whose next ban is longer.",
                      (f"sum by (jail) ({of('tracked_addresses')})", "failed: {{jail}}"),
                      (f"sum({of('history_addresses')})", "banned before"), width=8),
                graph("Given up for want of memory", "Per minute: tracked addresses, former bans and evidence that were"
                      f" dropped, failures of names that did not resolve. {WELL}",
                      (f"{rate(of('tracked_addresses_dropped_total'), 'instance')} > 0", "{{instance}}: failed addresses"),
                      (f"{rate(of('history_addresses_dropped_total'), 'instance')} > 0", "{{instance}}: former bans"),
                      (f"{rate(of('evidence_lines_dropped_total'), 'instance')} > 0", "{{instance}}: evidence"),
                      (f"{rate(of('unresolved_failures_total'), 'instance')} > 0", "{{instance}}: names"), width=8),
                graph("Time of filters", "Share of one core that each filter takes for the lines that the prefilter lets"
                      " through.", (rate(of("filter_seconds_total"), "filter", "second"), "{{filter}}"),
                      unit="percentunit", width=8),
            ),
            row(
                "Sources",
                graph("Lines read", "Log lines a second, by container.",
                      (rate(of("log_lines_total"), "container", "second"), "{{container}}"), stacked=True),
                graph("Bytes read", "By container.", (rate(of("log_bytes_total"), "container", "second"), "{{container}}"),
                      unit="Bps", stacked=True),
                timeline("Logs", "Red while the log of the container is not being read.",
                         f"min by (container) ({of('log_up')})", "{{container}}", READ),
                graph("Opened again", "Times in five minutes that logs were opened again, by reason.",
                      (f"sum by (reason) (increase({of('log_reopens_total')}[5m]))", "{{reason}}")),
                graph("Time since the last line", "By container. A quiet site is normal; a busy site that falls silent is"
                      " not.",
                      (f"time() - max by (container) ({of('log_last_line_timestamp_seconds')})", "{{container}}"),
                      unit="s"),
                graph("Lines lost or cut", "Times in five minutes that lines were rotated away unread, lines that were too"
                      " long, and lines that the search for lines did not find.",
                      (f"sum(increase({of('log_gaps_total')}[5m]))", "gaps"),
                      (f"sum(increase({of('log_lines_truncated_total')}[5m]))", "cut"),
                      (f"sum(increase({of('search_lost_lines_total')}[5m]))", "lost by the search")),
                graph("Matches of filters", "Lines a minute that matched each filter.",
                      (rate(of("filter_matches_total"), "filter"), "{{filter}}")),
                graph("Clients that may be wrong", "Watched containers with a log that may name a wrong client, as IPv6"
                      " clients reach them through Docker's proxy.",
                      (f"sum by (instance) ({of('exposed_containers')})", "{{instance}}")),
            ),
            row(
                "Firewall, store and alerts",
                graph("Firewall transactions", "How long they take; how many a minute the kernel refused.",
                      (quantile(0.5, transactions), "median"), (quantile(0.99, transactions), "99 %"), unit="s"),
                graph("Refused by the kernel", "Firewall transactions in five minutes, by result.",
                      (f"sum by (result) (increase({of('firewall_transactions_total')}[5m]))", "{{result}}")),
                graph("Firewall repairs", "Repairs in five minutes after another program changed the table, by what was"
                      " changed.", (f"sum by (reason) (increase({of('firewall_repairs_total')}[5m]))", "{{reason}}")),
                graph("Bans in the kernel", "Share of the bans in force that the last check found in the kernel.",
                      (f"min by (instance) ({of('firewall_enforcement_ratio')})", "{{instance}}"), unit="percentunit",
                      at_most=1),
                graph("The store", "Duration of the store's part of a turn.",
                      (quantile(0.5, writes), "median"), (quantile(0.99, writes), "99 %"), unit="s"),
                graph("Refused bans", "Bans in five minutes that were due and not made, by reason.",
                      (f"sum by (reason) (increase({of('refused_bans_total')}[5m]))", "{{reason}}")),
                graph("Messages", "Tries in five minutes by sender and result, and messages that were dropped.",
                      (f"sum by (sender, result) (increase({of('alerts_total')}[5m]))", "{{sender}}: {{result}}"),
                      (f"sum by (sender) (increase({of('alerts_dropped_total')}[5m]))", "{{sender}}: dropped")),
                graph("Own log", "Records of wp-sidecar's own log in five minutes that were dropped, as its output was"
                      " blocked.", (f"sum by (instance) (increase({of('log_records_dropped_total')}[5m]))", "{{instance}}")),
                table("Never banned", "The part of all public addresses that is on the allowlist, by reason.",
                      {"reason": "Reason", "family": "IP version"},
                      Column("Share", f"max by (reason, family) ({of('allowlist_share')})", "percentunit"), width=24),
            ),
        ),
    )  # fmt: skip


def fleet() -> Json:
    """Hosts that share their bans."""
    return board(
        "wp-sidecar-fleet", "wp-sidecar: the fleet",
        "Hosts that share their bans through Redis. Empty on hosts without a fleet.",
        variables=(JOB, INSTANCE), annotations=(RESTARTS, RELOADS),
        rows=(
            row(
                "Now",
                stat("Hosts", "Hosts of the fleet that are scraped.", f"count({of('fleet_connected')})"),
                stat("Connected", "Hosts that are connected to Redis and have read all.",
                     f"sum({of('fleet_connected')})", steps=ONE_IS_GOOD),
                stat("Not connected", "Hosts that ban on their own for now.",
                     f"count({of('fleet_connected')}) - sum({of('fleet_connected')})", steps=NOTHING_IS_GOOD),
                stat("Waiting to be sent", "Decisions that wait to be sent to the fleet.",
                     f"sum({of('fleet_outbox_decisions')})"),
                stat("Bans by the fleet, last 24 h", "Bans that another host decided, counted on each host that took them.",
                     f"sum({counted(of('bans_total', cause='fleet'), DAY)})"),
                stat("Rejected, last 24 h", "Messages of other hosts that were not accepted.",
                     f"sum({counted(of('fleet_rejected_total'), DAY)})", steps=NOTHING_IS_GOOD),
                table("Hosts", "A name leads to the dashboard of that host's sidecar.", {"instance": "Host"},
                      Column("Protection", f"min by (instance) ({of('ready')})", words=READY),
                      Column("Redis", f"min by (instance) ({of('fleet_connected')})",
                             words={"0": "not connected", "1": "connected"}),
                      Column("Others heard", f"max by (instance) ({of('fleet_peers')})"),
                      Column("Bans in force", f"sum by (instance) ({of('bans_active')})"),
                      Column("Own bans, 24 h", f"sum by (instance) ({counted(of('bans_total', cause='failures|group'), DAY)})"),
                      Column("Bans by the fleet, 24 h",
                             f"sum by (instance) ({counted(of('bans_total', cause='fleet'), DAY)})"),
                      link=DAEMON_BOARD),
            ),
            row(
                "Exchange",
                graph("Sent", "Decisions a minute, by what became of them.",
                      (rate(of("fleet_bans_total", direction="sent"), "result"), "{{result}}")),
                graph("Received", "Decisions a minute of other hosts.",
                      (rate(of("fleet_bans_total", direction="received"), "result"), "{{result}}")),
                graph("Age of messages", "How old the last message of each host was when it arrived, at most.",
                      (f"max by (peer) ({of('fleet_lag_seconds')})", "{{peer}}"), unit="s"),
                graph("Rejected", "Messages in five minutes that were not accepted, by reason.",
                      (f"sum by (reason) (increase({of('fleet_rejected_total')}[5m]))", "{{reason}}")),
                timeline("Connection", "Red while a host has no connection to Redis.",
                         f"min by (instance) ({of('fleet_connected')})", "{{instance}}",
                         {"0": "not connected", "1": "connected"}),
                graph("Bans in force", "By host. Hosts of one fleet agree, but for what may not be banned on each.",
                      (f"sum by (instance) ({of('bans_active')})", "{{instance}}")),
                graph("Waiting to be sent", "Decisions, by host.",
                      (f"max by (instance) ({of('fleet_outbox_decisions')})", "{{instance}}")),
                graph("Lifted by the fleet", "Bans in five minutes that were lifted on another host.",
                      (f"sum by (instance) (increase({of('unbans_total', cause='fleet')}[5m]))", "{{instance}}")),
            ),
        ),
    )  # fmt: skip


# Grafana's sidecar puts the files of all charts into one folder, so their names say whose they are.
BOARDS: Final = {
    "wp-sidecar-overview": overview,
    "wp-sidecar-site": site,
    "wp-sidecar-daemon": daemon,
    "wp-sidecar-fleet": fleet,
}
