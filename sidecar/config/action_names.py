"""What the names of fail2ban's own actions stand for here, and what is used instead of those that are not carried over.

A name that has a file in an `action.d` folder means that file, if there is something in it that can be sent.
"""

from __future__ import annotations

import re
from typing import Final

# Names that drop packets. Bans do that here in any case.
FIREWALL: Final = re.compile(
    r"(?:iptables|ip6tables|nftables|firewallcmd|ipset|shorewall|ufw|pf|ipfw|bsd-ipfw|ipfilter|npf|apf|osx-\w+|hostsdeny"
    r"|route|symbiosis-blacklist|nginx-block-map|netscaler|wp-sidecar)(?:[-_].*)?"
)
# Programs that do it.
FIREWALL_PROGRAMS: Final = frozenset(
    {
        "iptables", "ip6tables", "iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy",
        "iptables-restore", "nft", "ipset", "firewall-cmd", "shorewall", "ufw", "pfctl", "ipfw", "ip", "route",
        "npfctl", "apf", "conntrack", "ss",
    }
)  # fmt: skip
# Programs that send mail.
MAIL_PROGRAMS: Final = frozenset({"sendmail", "mail", "mailx", "mutt", "msmtp", "ssmtp", "s-nail", "swaks"})

# Our own kinds, which need no file.
OWN_KINDS: Final = ("slack", "webhook", "apprise", "mail", "exec")
# (fail2ban's name, what a mail holds beside the message).
MAILS: Final = {
    "sendmail": {},
    "smtp": {},
    "sendmail-buffered": {},
    "mail-buffered": {},
    "sendmail-whois": {"whois": "1"},
    "mail-whois": {"whois": "1"},
    "sendmail-whois-lines": {"whois": "1", "lines": "1"},
    "mail-whois-lines": {"whois": "1", "lines": "1"},
    "sendmail-whois-matches": {"whois": "1", "lines": "1"},
    "sendmail-whois-ipmatches": {"whois": "1", "lines": "1"},
    "sendmail-whois-ipjailmatches": {"whois": "1", "lines": "1"},
    "sendmail-geoip-lines": {"lines": "1"},
}
INSTEAD: Final = "use webhook[url=...] to a service of yours that does it, or exec[command=...]"
# Names that report addresses to somebody, or change something elsewhere.
NOT_CARRIED: Final = {
    "abuseipdb": f"it reports addresses to AbuseIPDB; {INSTEAD}",
    "blocklist_de": f"it reports addresses to blocklist.de; {INSTEAD}",
    "badips": "badips.com is no more",
    "cloudflare": "it changes rules at Cloudflare: docs/alerts.md says what works behind a CDN",
    "cloudflare-token": "it changes rules at Cloudflare: docs/alerts.md says what works behind a CDN",
    "complain": f"it writes to abuse contacts of networks; {INSTEAD}",
    "dshield": f"it reports to DShield; {INSTEAD}",
    "ipthreat": f"it reports to IPThreat; {INSTEAD}",
    "mynetwatchman": "myNetWatchman is no more",
    "nsupdate": f"it changes DNS zones; {INSTEAD}",
    "xarf-login-attack": f"it writes to abuse contacts of networks; {INSTEAD}",
    "dummy": "it does nothing",
}

# What fail2ban's jail.conf defines and its users' files use, where the file does not define it itself. `%(action_)s`
# and its kin are made of them.
SHORTCUTS: Final = {
    "action": "",
    "banaction": "wp-sidecar",
    "banaction_allports": "wp-sidecar",
    "mta": "sendmail",
    "protocol": "tcp",
    "chain": "INPUT",
    "blocktype": "DROP",
    "port": "http,https",
    "logpath": "",
    "destemail": "",
    "sender": "",
    "sendername": "wp-sidecar",
    "fail2ban_agent": "wp-sidecar",
    "fail2ban_version": "1.1.0",
    "action_": "%(banaction)s",
    "action_blocklist_de": "blocklist_de",
    "action_abuseipdb": "abuseipdb",
    "action_xarf": "%(action_)s\nxarf-login-attack",
    "action_cf_mwl": "cloudflare\n%(action_mwl)s",
    "action_mw": '%(action_)s\n%(mta)s-whois[dest="%(destemail)s", sender="%(sender)s"]',
    "action_mwl": '%(action_)s\n%(mta)s-whois-lines[dest="%(destemail)s", sender="%(sender)s"]',
}
