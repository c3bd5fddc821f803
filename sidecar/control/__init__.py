"""The control socket, through which the command line asks the daemon.

    cli ── client.ask(BanRequest) ──▶ unix socket ──▶ server ──▶ commands.table ──▶ a command ──▶ the loop

`protocol` has the types of requests and answers, which both sides share, and `transfer` those of an import.
`commands` has one class a command.
`exit_codes` are those of the command line and of the daemon.
"""
