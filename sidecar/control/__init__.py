"""The control socket: request types, client, server, commands and exit codes."""
