"""The daemon: wiring, reload, the allowlist, this host's own addresses."""
