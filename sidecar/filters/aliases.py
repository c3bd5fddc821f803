"""Names that filters have in other projects, and in what people write about them -> our filter that counts the same."""

from __future__ import annotations

import re
from typing import Final

_SERVER = r"(?:(?:nginx|apache2?|traefik|caddy|haproxy|npm|docker|swag|lighttpd)-)?"
# The first that fits is taken.
_OURS: Final = tuple(
    (re.compile(names), ours)
    for names, ours in (
        (r"(?:wordpress|wp)-soft(?:-.*)?", "wordpress"),
        (rf"{_SERVER}(?:(?:wordpress|wp)-?)?xmlrpc(?:-.*)?", "wordpress-xmlrpc"),
        (
            rf"{_SERVER}(?:wp|wordpress)-?(?:wp-?)?(?:login|log-?in|auth(?:entication)?|admin|brute-?force|failed|403)(?:-.*)?",
            "wordpress-access",
        ),
        (rf"{_SERVER}(?:wordpress|wp)", "wordpress-access"),
        (r"(?:nginx|apache2?)-(?:botsearch|noscript|nohome)", "wordpress-probes"),
    )
)


def ours(name: str) -> str:
    """Return the name of our filter that counts what others' filter of this name counts; "" where none does."""
    return next((mine for names, mine in _OURS if names.fullmatch(name.lower())), "")
