"""What the daemon does when the command line asks: one class a command.

    control socket's thread ──▶ CommandTable ──▶ a command ──▶ the loop (guard, then every sink) ──▶ its answer

A command runs in a thread of the control socket. What it needs of the guard the loop does or answers for it, so an
answer takes into account everything that was asked before. A new command is one file with a class like the ones here
(`table.Command`) and its `ControlRequest`, an entry in `table.daemon_commands`, and a function in `sidecar/cli`.

    table          the table of commands
    loop_access    how a command reaches the loop; what goes wrong is a refusal
    answers        values of the daemon as JSON
    daemon         health, status, reload
    bans           bans, ban, unban; history: history, explain; allow: allow, disallow, allowed
    top            what happens just now
    transfer       import (import_judge: what is to be made of each entry)
"""
