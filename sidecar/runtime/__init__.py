"""The machinery that does not know what it runs: threads, failures, retries, HTTP and DNS.

`loop` is the thread that owns the guard, and the inbox is the way to it. `supervisor` keeps all other threads running.
`problems` has everything that is wrong right now. Begin with `loop`.
"""
