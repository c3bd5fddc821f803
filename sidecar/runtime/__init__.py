"""The machinery that does not know what it runs: threads, failures, retries, HTTP and DNS.

`loop` is the thread that owns the guard, and the inbox is the way to it. `supervisor` keeps all other threads running
(`backoff`: how long it waits). `problems` has everything that is wrong right now. Begin with `loop`.

    clock            what a clock is; signals: SIGTERM, SIGINT, SIGHUP; memory: what the container may use
    http_server      a server that clients cannot stall (unix_socket; known_hosts: by which names it may be asked)
    dns              names -> addresses
"""
