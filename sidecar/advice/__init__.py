"""Why protection is incomplete, and what to change: the sentences that operators read in alerts and problems.

Each module takes facts as values and returns a sentence, or nothing where there is nothing to say. A sentence names
what is wrong, then what to change. When to say it, and how often, is decided by the caller (`sidecar.app`).

    doctor           what `wp-sidecar doctor` finds: facts in, findings out (facts, finding)
    host_checks, log_checks, site_checks    its checks
    allowlist        an allowlist that covers too much
    ban_budget       too many bans at once
    bypass           a banned address that still reaches a site
    exposure         a log that may name an address that sent nothing
    kubernetes       bans without an effect on a node
    namespace        a network that clients' packets do not pass
    refused_bans     bans that are due and not made
    repair           changes of our table by another program
    sites            sites that share all of their ports
    unbannable       failures of addresses that are never banned
    unread_logs      logs that are read and not understood
    unwatched        WordPress containers that are not watched
"""
