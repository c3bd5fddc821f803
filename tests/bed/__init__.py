"""A private host on one machine: network namespaces, a Docker engine, WordPress, attackers.

    with Bed.up() as bed:
        site = bed.wordpress(log="plugin")
        assert bed.attacker.login(site, "admin", "wrong") == 200

Nothing here touches the machine's own network, firewall, sysctls or Docker.
"""

from tests.bed.bed import Bed, down
from tests.bed.clients import Client, Connection
from tests.bed.engine import Engine
from tests.bed.network import Place
from tests.bed.webhook import Post, Webhook
from tests.bed.wordpress import ADMIN, EDITOR, Site

__all__ = [
    "ADMIN",
    "EDITOR",
    "Bed",
    "Client",
    "Connection",
    "Engine",
    "Place",
    "Post",
    "Site",
    "Webhook",
    "down",
]
