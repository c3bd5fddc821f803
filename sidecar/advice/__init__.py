"""Why protection is incomplete, and what to change: the sentences that operators read in alerts and problems.

Each module takes facts as values and returns a sentence, or nothing where there is nothing to say. A sentence names
what is wrong, then what to change. When to say it, and how often, is decided by the caller (`sidecar.app`).
"""
