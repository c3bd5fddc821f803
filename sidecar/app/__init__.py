"""The daemon: how its parts are put together, started, reconfigured and ended.

    main ─▶ wiring.build ─▶ Daemon (start, run the loop, end)

`main` is the process, `wiring` makes all parts, `daemon` starts and ends them. `reload_service` and `reload` put new
settings in force. What the guard goes by comes from many sources and changes while the daemon runs: `allowlist` is
their value, `guard_inputs` applies it, `host_names` and `host_changes` keep it up to date. The other modules are the
small sinks, listeners and chores that connect two packages which do not know each other. Begin with `wiring`.
"""
