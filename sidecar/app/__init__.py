"""The daemon: how its parts are put together, started, reconfigured and ended.

    main ─▶ wiring.build ─▶ Daemon (start, run the loop, end)

`main` is the process. `wiring` makes all `parts`, and last the `services` beside the loop; `daemon` starts and ends
them. `reload_service` and `reload` put new settings in force (`reading` changes the sources and filters). `last_run`
has what the last run left, and `restore` puts its bans into the kernel without a daemon. Begin with `wiring`.

What the guard works with comes from many sources and changes while the daemon runs: `allowlist` is their value,
`guard_inputs` applies it, and `host`, `host_network`, `public_address`, `host_names` and `host_changes` keep it up
to date.

The other modules are small sinks, listeners and chores that connect two packages which do not know each other:

    reporting        metrics (metric_labels), alerts and problems: what all others report to
    health           what probes see
    housekeeping     what is done from time to time
    log_states, log_details, unread_logs             how logs are read, and whether they are understood
    budget_monitor, max_bans_report, refused_bans    bans that are not enforced, end early, or are not made
    bypasses, unbannable, exposed_containers         bans and failures without an effect
    allowlist_report, repairs, clock_watch           what people or other programs changed
    memory_watch     forgets in time where memory is short
    connection_table                                 the kernel refuses connections
    run_mark         the last run was killed
"""
