"""The tags of fail2ban's action files, such as `<ip>` and `<failures>`, for one occurrence or for a digest.

What attackers wrote stands in `matches` and in tags of the filter; everything else is made by us.
"""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from typing import Final

from sidecar.alerts.notices import Notice, listed
from sidecar.alerts.occurrences import Digest, Occurrence
from sidecar.core.request_text import ADDRESS_TAGS, LINE_TAGS, TAG, TEXT_TAG

# All tags that an occurrence fills. A filter's own, `<F-USER>`, are filled with nothing.
TAGS: Final = ADDRESS_TAGS | LINE_TAGS | {
    TEXT_TAG,
    "name", "family", "failures", "ipfailures", "ipjailfailures", "time", "bantime", "bancount", "restored",
    "jail.banned", "jail.banned_total", "jail.found", "jail.found_total", "fq-hostname", "sh-hostname",
}  # fmt: skip


def is_tag(name: str) -> bool:
    """Return whether this is filled when a message is sent, and not by an option of the action."""
    return name in TAGS or name.startswith("F-")


def values(notice: Notice, host: str) -> dict[str, str]:
    """Return what each tag stands for in this notice."""
    found = {
        "name": notice.jail,
        "time": str(int(notice.at)),
        "sh-hostname": host,
        "fq-hostname": fq_hostname(),
    }
    found[TEXT_TAG] = notice.plain
    if notice.occurrence:
        found |= _of_occurrence(notice.occurrence)
    elif notice.digest:
        found |= _of_digest(notice.digest)
    return found


def filled(text: str, meaning: Mapping[str, str], escape: Callable[[str, str], str]) -> str:
    """Return the text with every tag replaced; `escape(tag, value)` makes the value fit in. An unknown one is empty."""

    def one(found: re.Match[str]) -> str:
        tag = found[1]
        return escape(tag, meaning.get(tag, "")) if is_tag(tag) else found[0]

    return TAG.sub(one, text)


def fq_hostname() -> str:
    """Return the host's name with its domain, as far as it is known without asking DNS."""
    return socket.gethostname()


def _of_occurrence(one: Occurrence) -> dict[str, str]:
    lines = "\n".join(one.lines)
    return {
        **dict.fromkeys(ADDRESS_TAGS, one.address),
        **dict.fromkeys(LINE_TAGS, lines),
        "ip-rev": _reverse(one.address),
        "name": one.jail,
        "family": "inet6" if ":" in one.address else "inet4",
        **dict.fromkeys(("failures", "ipfailures", "ipjailfailures"), str(one.failures)),
        "time": str(int(one.at)),
        # As in fail2ban: -1 is for good.
        "bantime": "-1" if one.bantime == math.inf else str(int(one.bantime)),
        "bancount": str(one.ban_count),
        "restored": "0",
        "jail.banned": "1",
        "jail.banned_total": "1",
    }


def _of_digest(digest: Digest) -> dict[str, str]:
    addresses = listed([each.address for each in digest.first], digest.count)
    return {
        **dict.fromkeys(ADDRESS_TAGS, addresses),
        "name": listed([name for name, count in digest.jails.most_common() if count > 0]),
        "failures": str(sum(each.failures for each in digest.first)),
        "bancount": str(digest.count),
        "restored": "0",
    }


def _reverse(address: str) -> str:
    """Return the address as names of reverse DNS begin: `7.113.0.203.` for 203.0.113.7."""
    try:
        network = ip_network(address) if "/" in address else ip_address(address)
    except ValueError:
        return ""
    pointer = network.reverse_pointer
    return pointer.removesuffix("in-addr.arpa").removesuffix("ip6.arpa")
