"""Several hosts that share their bans through one Redis or Valkey.

    loop ──Turn──────▶ Publisher ──▶ outbox ──▶ Redis          own bans, unbans, failures
    loop ◀─decisions── Subscriber ◀─ stream ◀── Redis          what the other nodes decided

Local first: a decision never waits for Redis, and nothing that Redis does or loses lifts a ban
here. While Redis is away the node tries again and again; once it is back, both sides read what they
missed.

    protocol      lines and members, seals, clocks; pure
    lifts         which bans a number of unbans ended; pure
    limits        how much of another node is believed; pure
    outbox        own decisions on their way
    connection    one client of Redis; answer_limit: how long an answer may be
    redis         the fleet's keys; scripts: what runs on the server
    session       what publisher and subscriber share; heartbeat: hello, clock, epoch
    publisher     sends
    subscriber    reads: verifier (is it believed?), applier (put it in force), joining (what was missed)
    member        all of it put together

A node is a host of the fleet; a peer is another node; a lift is an unban on every node.
"""

from sidecar.fleet.connection import RedisConnection
from sidecar.fleet.member import FleetMember
from sidecar.fleet.redis import FleetStore
from sidecar.fleet.session import Node

__all__ = ["FleetMember", "FleetStore", "Node", "RedisConnection"]
