"""A daemon that answers what a test wants, and the answers of a daemon at work."""

from sidecar.control.protocol import Refused

AT = 1_795_336_803.0
BAN = {
    "ip": "203.0.113.7",
    "jail": "wordpress",
    "at": AT,
    "until": None,
    "cause": "failures",
    "failures": 3,
    "site": "blog\x1b[2J",  # a container's name may hold anything too
    "reason": "",
    "times": 2,
    "observed": False,
    "evidence": ["fail 203.0.113.7"],
}
STATUS = {
    "version": "0.1.0",
    "started": AT,
    "jails": [
        {
            "name": "wordpress",
            "maxretry": 3,
            "findtime": 10_800.0,
            "bantime": None,
            "increment": False,
            "window": "sliding",
            "mode": "enforce",
            "bangroup": 0,
            "failures": 9,
            "bans": 2,
            "active": 1,
            "observed": 0,
            "leaks": 1,
        },
        {
            "name": "probes",
            "maxretry": 10,
            "findtime": 600.0,
            "bantime": 3_600.0,
            "increment": True,
            "window": "fail2ban",
            "mode": "observe",
            "bangroup": 3,
            "failures": 0,
            "bans": 0,
            "active": 0,
            "observed": 12,
            "leaks": 0,
        },
    ],
    "streams": [
        {"container": "blog", "state": "following", "format": "combined", "read": 8, "understood": 7}
    ],
    "labels": {"blog": ["wp-sidecar.maxretry=10", "wp-sidecar.mode=observe"]},
    "allowed": 2,
    "allowlist": [{"reason": "ignoreip", "ipv4": 0.25, "ipv6": 0.0}],
    "firewall": {"ok": False, "enforced": [1, 3], "dropped": {"4": [12, 720], "6": [0, 0]}},
    "bans": 1,
    "health": {"live": True, "ready": False, "why": ["the firewall table [red]is gone[/red]"]},
}


class Daemon:
    """Answers by the command, with a value or by a function, and remembers what it was asked."""

    def __init__(self):
        self.asked = []
        self.answers = {"status": STATUS, "bans": {"bans": [BAN]}, "health": STATUS["health"]}

    def answer(self, fields):
        self.asked.append(fields)
        if fields["do"] not in self.answers:
            raise Refused("10.0.0.1 is never banned: it is a private address")
        answer = self.answers[fields["do"]]
        return answer(fields) if callable(answer) else answer
