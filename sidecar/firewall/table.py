"""The sink that keeps the banned out of this host: decisions in, one transaction to the kernel."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from sidecar.advice.bypass import Facts
from sidecar.core.address import Address
from sidecar.core.events import Ban, BanCause, Decision, Turn
from sidecar.core.guard import MANUAL
from sidecar.core.jail import WEB, Jail
from sidecar.core.jail_state import GRACE
from sidecar.firewall import edits as elements
from sidecar.firewall import ruleset, sighting_sets
from sidecar.firewall.desired import DesiredBans
from sidecar.firewall.drop_counters import Drops
from sidecar.firewall.kernel import Kernel, Shape
from sidecar.firewall.netlink import FirewallError, NoPermission
from sidecar.firewall.nft import Nft
from sidecar.firewall.ruleset import ALLOW, CHAIN, COUNTERS, LEGIBLE, SCHEMA, Gate, Put, Take
from sidecar.firewall.sightings import PacketSightings

TOUCHED = Shape("", awake=False, table=0, chains={}, rules=(), sets={}, counters={})  # equal to none
ACCEPT = b"\0\0\0\1"  # NF_ACCEPT, as the kernel tells a chain's policy
READS = 5  # of one set, while the kernel makes it larger: some 0.5 s for one of 100,000

D = TypeVar("D", bound=Decision)


@dataclass(frozen=True, slots=True)
class Repair:
    """What someone else had changed, and is right again."""

    what: str  # "table" (gone), "structure" (chain, rules, sets), "surroundings" (ports, never-ban), "bans"
    restored: int = 0  # addresses that were missing, or there for another time
    removed: int = 0  # addresses that nobody here had banned


class Firewall:
    """Who is kept out, in the kernel. Owned by one thread, the only one that calls it (`counters` apart).

    What writes raises FirewallError where the kernel does not follow, and NoPermission where it never will.
    What is wanted is remembered all the same, so that `reconcile` makes up for it.
    """

    def __init__(self, jails: Iterable[Jail]) -> None:
        self._drops = Drops()
        self._nft = Nft()
        self._kernel = Kernel()
        self._witness = PacketSightings(self._kernel, self._is_sound)
        self._web = Gate(WEB)  # for a ban whose jail is not configured any more
        self._hang(jails)
        self._allow: tuple[str, ...] = ()
        self._published: frozenset[int] | None = None  # None: nobody has said yet
        self._wanted = DesiredBans()
        self._missing = 0  # of those who are wanted, as the last look found them
        self._mended = "", -math.inf  # what others had opened, and when it was put right
        self._shape: Shape | None = None  # of the table as we last left it; None: we have not written it yet
        self._doubtful = False  # did the kernel, that makes a set larger, not tell of all who are in?
        self._seen: int | None = None  # the generation in which the kernel had all that is wanted
        self._sound: int | None = None  # the generation in which the shape, at least, was the one we left

    def start(self, bans: Sequence[Ban], now: float) -> None:
        """Put these bans, and no others, in force. A table of ours that is there stays in force meanwhile."""
        self._wanted = DesiredBans()
        wrong: list[str] = []
        for name, ban in self._seated((ban for ban in bans if not ban.dry_run), wrong):
            self._wanted.put(name, ban.jail, ban.address, ban.until)
        with self._catching_up(self._kernel.generation()):
            shape = self._kernel.shape()
            if self._published is None:
                self._published = self._published_before(shape)
            self._restore(shape, now)
        _complain(wrong)

    def apply(self, turn: Turn) -> None:
        """Carry out what was decided: one transaction up to 1,000 addresses, and one for each 1,000 more."""
        wrong: list[str] = []
        touched: dict[tuple[str, Address], bool] = {}  # whether they were in before
        for name, decision in self._seated(turn.decisions, wrong):
            address = decision.address
            if isinstance(decision, Ban) and not decision.dry_run:
                was_in = self._wanted.put(name, decision.jail, address, decision.until)
            else:
                was_in = self._wanted.take(name, decision.jail, address)
            touched.setdefault((name, address), was_in)
        try:
            self._enforce(touched, turn.at)
        except FirewallError:
            self._missing += len(touched)  # until the next look knows better
            raise
        _complain(wrong)

    def regate(self, jails: Iterable[Jail], now: float) -> None:
        """These are the jails from now on. Whoever is kept out stays so, now from the ports of their jail as it is.

        New gates are closed before old ones open, so that no packet slips through between.
        """
        before, gates = self._doors, self._gates
        self._hang(jails)
        moved: dict[tuple[str, Address], bool] = {}  # whether they were in before
        for jail in gates.keys() | self._gates.keys():
            gate = self._gates.get(jail, self._web)
            if gate != gates.get(jail, self._web):
                for name, address, until in self._wanted.take_jail(jail):
                    seat = ruleset.seat(address, gate)
                    moved.setdefault((name, address), True)
                    moved.setdefault((seat, address), self._wanted.put(seat, jail, address, until))
        if self._shape is None or (before == self._doors and not moved):
            return
        seats = {*self._hosts, *self._nets}
        lines, edits = self._edits({at: was_in for at, was_in in moved.items() if at[0] in seats}, now)
        gone = [gate for gate in before if gate not in self._doors]
        try:
            self._run([*self._structure((*self._doors, *gone)), *ruleset.unsure()])
            self._write((), [edit for edit in edits if isinstance(edit, Put)])
            self._run([*self._structure(), *lines, *ruleset.walled_up(gone)])
            self._write((), [edit for edit in edits if isinstance(edit, Take)])
        except NoPermission:
            raise
        except FirewallError:  # the table is not as we left it
            self._replace(now)
        self._remember()

    def surround(self, allow: Iterable[str], published: frozenset[int] | None = None) -> None:
        """Who may pass whatever is decided (networks), and which ports the gates close besides their own.

        `published` None: not known (yet), so they stay as they are. A start that knows none keeps those of the table
        that is there: until the container engine has answered, no port of the last run opens.
        """
        before, ports = (self._allow, self._published), self._ports
        self._allow = tuple(allow)
        if published is not None:
            self._published = published
        if self._shape is not None and before != (self._allow, self._published):
            noted = [] if self._ports <= ports else ruleset.unsure()
            self._run([*self._surroundings(), *noted])

    def adoptable(self, now: float) -> list[Ban]:
        """Whom the table that is there keeps out, as bans to go on with: of the jail `manual`, or one of their ports.

        Nobody where there is no table, or where it is not of our make.
        """
        shape = self._kernel.shape()
        if shape is None or shape.schema not in LEGIBLE:
            return []
        jails = {gate: name for name, gate in reversed(self._gates.items())} | {self._web: MANUAL.name}
        return [
            Ban(jails[gate], address, now, now + left, BanCause.ADOPTED)
            for gate in self._doors
            for version in (4, 6)
            for address, left in (
                *ruleset.customers(self._kernel.elements(gate.hosts(version))),
                *ruleset.ranges(version, self._kernel.intervals(gate.nets(version))),
            )
        ]

    def seen(self, address: Address) -> bool | None:
        """Whether they sent a packet to a port that some gate closes, within the last hour.

        False: surely not, for the last `LOOKBACK` seconds. None: nobody knows (more senders than can be noted,
        a table that is younger, a wider network, a kernel that does not answer). 0.1 ms.
        """
        return self._witness.seen(address)

    def look_at(self, address: Address, jail: str, at: float, now: float) -> Facts:
        """What there is to know of one whom this jail bans, and whom a line of the time `at` names all the same. 1 ms.

        Raises FirewallError, and ValueError for whom nobody can ban.
        """
        what, when = self._mended
        facts = self._witness.look_at(address, self._gates.get(jail, self._web), now - at)
        return replace(facts, mended=what if when >= at - GRACE else "")

    def enforced(self) -> tuple[int, int]:
        """How many of the wanted the last look found in force, and how many are wanted."""
        wanted = self._wanted.count
        return max(0, wanted - self._missing), wanted

    def reconcile(self, now: float, *, whole: bool = False) -> Repair | None:
        """Make the kernel's table what is wanted again. None: it was.

        Next to nothing where nobody but us has changed the host's firewall since; else, and with `whole` in any
        case, all is read and compared (100,000 bans: 0.5 s).
        """
        generation = self._kernel.generation()
        if generation == self._seen and not whole:
            self._missing = 0
            return None
        with self._catching_up(generation):
            shape = self._kernel.shape()
            if shape is not None and shape == self._shape:
                repair = self._amend(now)
            else:
                restored, removed = self._restore(shape, now)
                self._missing = self._wanted.count
                repair = Repair("table" if shape is None else "structure", restored, removed)
        if repair and not whole and (repair.restored or repair.what != "bans"):
            self._mended = repair.what, now
        return repair

    def flush(self) -> None:
        """Remove the table: everyone is let in."""
        self._run(ruleset.removal())
        self._wanted, self._shape, self._missing = DesiredBans(), None, 0

    def close(self) -> None:
        """Let go of the kernel. What is in force stays, and ends by itself."""
        self._kernel.close()
        self._drops.close()

    def counters(self) -> dict[str, tuple[int, int]]:
        """What was dropped: `{"4": (packets, bytes), "6": (packets, bytes)}`, never falling. Any thread may ask."""
        return self._drops.read()

    def _seated(self, decisions: Iterable[D], wrong: list[str]) -> Iterator[tuple[str, D]]:
        """The set for each decision; what has none is told in `wrong`."""
        for decision in decisions:
            try:
                name = ruleset.seat(decision.address, self._gates.get(decision.jail, self._web))
            except ValueError as err:
                wrong.append(str(err))
            else:
                yield name, decision

    def _hang(self, jails: Iterable[Jail]) -> None:
        """A gate for each jail; those for the same ports are one door."""
        self._gates = {jail.name: Gate(jail.ports) for jail in jails}
        self._doors = tuple(dict.fromkeys([self._web, *self._gates.values()]))
        self._hosts = tuple(gate.hosts(version) for gate in self._doors for version in (4, 6))
        self._nets = {gate.nets(version): version for gate in self._doors for version in (4, 6)}

    def _enforce(self, touched: Mapping[tuple[str, Address], bool], now: float) -> None:
        """Write what is now wanted of those (set, who) -> were they in?."""
        emptied = self._emptied(touched)
        if not emptied:
            self._write(*self._edits(touched, now))
            return
        stay = self._everyone(emptied, now)
        lines, edits = self._edits({at: was for at, was in touched.items() if at[0] not in emptied}, now)
        self._write([*ruleset.without(emptied), *self._structure(), *lines], [*stay, *edits])
        self._remember()

    def _emptied(self, touched: Mapping[tuple[str, Address], bool]) -> list[str]:
        """Sets of which so many go that it matters, and so few stay that one transaction makes them anew."""
        if len(touched) <= ruleset.CHUNK:
            return []
        few = ruleset.CHUNK // len(self._hosts)
        return [
            name
            for name, count in Counter(name for name, _ in touched).items()
            if name in self._hosts and count > ruleset.CHUNK and len(self._wanted.everyone(name)) <= few
        ]

    def _edits(
        self, touched: Mapping[tuple[str, Address], bool], now: float
    ) -> tuple[list[str], list[Put | Take]]:
        """What is now wanted of those (set, who) -> were they in?: the lines for networks, and hosts in and out."""
        edits: list[Put | Take] = []
        nets = set()
        for (name, address), was_in in touched.items():
            until = self._wanted.until(name, address)
            if name in self._nets:
                nets.add(name)
            elif until is None or until <= now:
                edits.append(Take(name, ruleset.element(address)))
            else:
                edits.append(Put(name, ruleset.element(address), until - now, fresh=not was_in))
        return [line for name in sorted(nets) for line in self._networks(name, now)], edits

    def _restore(self, shape: Shape | None, now: float) -> tuple[int, int]:
        """Whatever there is -> what is wanted, with no open moment where a table is.

        Returns how many addresses were put in and how many taken out.
        """
        if shape is None:
            done = self._build(now)
        elif self._is_ours(shape) and self._restructure(shape):
            repair = self._amend(now)
            done = (repair.restored, repair.removed) if repair else (0, 0)
        else:
            done = self._replace(now)
        self._remember()
        return done

    def _remember(self) -> None:
        """The table as we left it; where somebody was there again already, the next look finds it changed."""
        shape = self._kernel.shape()
        untouched = shape is not None and (
            self._kernel.generation() == self._seen or (self._is_ours(shape) and self._is_whole(shape))
        )
        self._shape = shape if untouched else TOUCHED

    def _is_whole(self, shape: Shape) -> bool:
        """Whether it has as many rules as we write, and our chain's policy."""
        ours = sum(line.startswith("add rule ") for line in self._structure())
        return len(shape.rules) == ours and shape.chains[CHAIN][1] == ACCEPT

    def _published_before(self, shape: Shape | None) -> frozenset[int] | None:
        """The ports that the last run was told of, as far as the table still says."""
        if shape is None or shape.schema not in LEGIBLE:
            return None
        return frozenset(
            port
            for gate in self._doors
            if gate.ports is not None
            for port in self._witness.closed(gate) - gate.ports
        )

    def _is_ours(self, shape: Shape) -> bool:
        """Whether this table is, as far as names and schema go, the one that we would make."""
        sets = {
            *ALLOW.values(),
            *self._hosts,
            *self._nets,
            *(g.open_to for g in self._doors if g.ports is not None),
            *sighting_sets.SEEN.values(),
            *sighting_sets.PASSED.values(),
            sighting_sets.LATEST,
            sighting_sets.MISSED,
        }
        names = {CHAIN, sighting_sets.CHAIN}, sets, set(COUNTERS.values())
        return shape.schema == SCHEMA and shape.awake and shape.names == names

    def _restructure(self, shape: Shape) -> bool:
        """Write the structure over the one that is there. False: it is of another make and in the way."""
        lines = self._structure()
        adopted = self._shape is None and self._is_whole(shape)
        try:
            self._run(lines if adopted else [*lines, *ruleset.unsure()])
        except NoPermission:
            raise
        except FirewallError:
            return False
        return True

    def _build(self, now: float) -> tuple[int, int]:
        """A table where none is; the latest bans in its first transaction."""
        edits = self._everyone(self._hosts, now)
        self._write([*self._structure(), *ruleset.unsure(), *self._all_networks(now)], edits)
        return len(edits), 0

    def _replace(self, now: float) -> tuple[int, int]:
        """A table instead of another.

        All in one transaction, however long (100,000 bans: 0.7 to 2 s), so that no packet finds the gate open.
        """
        self.counters()  # the last look at the old one
        edits = self._everyone(self._hosts, now)
        lines = [
            *ruleset.removal(),
            *self._structure(),
            *ruleset.unsure(),
            *self._all_networks(now),
        ]
        try:
            self._run([*lines, *ruleset.bans(edits)])
        except NoPermission:
            raise
        except FirewallError:
            # In a user namespace some 20,000 bans are too long a message; better a moment's gap than none in force.
            self._write(lines, edits)
        return len(edits), 0

    def _amend(self, now: float) -> Repair | None:
        """Compare what the sets hold with what is wanted, and write the difference."""
        edits = [edit for name in self._hosts for edit in self._difference(name, now)]
        nets = {name: lost for name in self._nets if (lost := self._astray(name, now)) is not None}
        around = [] if self._surroundings_are_right() else [*self._surroundings(), *ruleset.unsure()]
        lost = sum(map(_is_fresh, edits))
        self._missing = self._wanted.count if around else lost + sum(nets.values())
        self._write([*around, *(line for name in nets for line in self._networks(name, now))], edits)
        if not (around or nets or edits):
            return None
        removed = sum(isinstance(edit, Take) for edit in edits)
        return Repair("surroundings" if around else "bans", len(edits) - removed, removed)

    def _difference(self, name: str, now: float) -> list[Put | Take]:
        """What turns a set into the wanted one; read again where the kernel has just told of too few."""
        edits: list[Put | Take] = []
        for _ in range(READS):
            edits = ruleset.amend(name, self._wanted.everyone(name), self._kernel.elements(name), now)
            if not self._is_held(name, next(filter(_is_fresh, edits), None)):
                return edits
        self._doubtful = True
        lost = [edit for edit in edits if _is_fresh(edit)][: ruleset.CHUNK]
        return [
            *(edit for edit in edits if not _is_fresh(edit)),
            *(edit for edit in lost if not self._is_held(name, edit)),
        ]

    def _is_held(self, name: str, edit: Put | Take | None) -> bool:
        return edit is not None and self._kernel.has(name, ruleset.key(Address(edit.element)))

    def _astray(self, name: str, now: float) -> int | None:
        """How much of a set of wider networks is missing; None: it is as it should be."""
        wanted, there = ruleset.pieces(self._wanted.everyone(name), now), self._kernel.intervals(name)
        missing = len(wanted.keys() - there.keys())
        right = wanted.keys() == there.keys() and all(
            ruleset.alike(there[at], left) for at, left in wanted.items()
        )
        return None if right else missing

    def _is_sound(self) -> bool:
        """Whether the rules, at least, are those that we left. Nearly nothing to ask where nobody changed any."""
        generation = self._kernel.generation()
        if generation not in (self._seen, self._sound):
            if self._shape is None or self._kernel.shape() != self._shape:
                return False
            self._sound = generation
        return True

    def _surroundings_are_right(self) -> bool:
        allow = all(
            set(ruleset.allowed(version, self._allow)) == self._kernel.intervals(name).keys()
            for version, name in ALLOW.items()
        )
        return allow and all(
            {port.to_bytes(2, "big") for port in gate.ports | self._ports}
            == self._kernel.elements(gate.open_to).keys()
            for gate in self._doors
            if gate.ports is not None
        )

    def _structure(self, doors: Sequence[Gate] = ()) -> list[str]:
        return ruleset.structure(doors or self._doors, self._allow, self._ports)

    def _surroundings(self) -> list[str]:
        return ruleset.surroundings(self._doors, self._allow, self._ports)

    @property
    def _ports(self) -> frozenset[int]:
        return self._published or frozenset()

    def _everyone(self, names: Iterable[str], now: float) -> list[Put | Take]:
        """All hosts of these sets, those who came in last first."""
        return [
            Put(name, ruleset.element(address), until - now)
            for name in names
            for address, until in reversed(tuple(self._wanted.everyone(name).items()))
            if until > now
        ]

    def _networks(self, name: str, now: float) -> list[str]:
        return ruleset.networks(name, self._nets[name], self._wanted.everyone(name), now)

    def _all_networks(self, now: float) -> list[str]:
        return [line for name in self._nets for line in self._networks(name, now)]

    @contextmanager
    def _catching_up(self, generation: int) -> Iterator[None]:
        """Within, all is compared with the kernel of this generation. Where that fails, nothing is known."""
        self._seen, self._doubtful = generation, False
        try:
            yield
        except BaseException:
            self._seen = None
            raise
        if self._doubtful:
            self._seen = None  # and the next look compares again

    def _run(self, lines: Sequence[str]) -> None:
        """One transaction."""
        if lines:
            with self._transaction():
                self._nft.run(lines)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Where it fails, or others had one meanwhile, the next `reconcile` reads all."""
        before, self._seen = self._seen, None
        yield
        if before is not None and self._kernel.generation() == before + 1:
            self._seen = before + 1

    def _write(self, lines: Sequence[str], edits: Sequence[Put | Take]) -> None:
        """These lines and the first bans in one transaction, then the rest of the bans."""
        chunks = ruleset.chunks(edits)
        if lines:
            self._run([*lines, *ruleset.bans(chunks.pop(0) if chunks else ())])
        for chunk in chunks:
            self._commit(elements.messages(chunk))

    def _commit(self, messages: Sequence[bytes]) -> None:
        """One transaction; that nobody had one meanwhile, the kernel itself sees to, which spares a question."""
        before, self._seen = self._seen, None
        if before is not None and self._kernel.commit(messages, before):
            self._seen = before + 1 & 0xFFFFFFFF
        else:
            self._kernel.commit(messages)


def _is_fresh(edit: Put | Take) -> bool:
    """Was it not in the set?"""
    return isinstance(edit, Put) and edit.fresh


def _complain(wrong: Sequence[str]) -> None:
    """What could not be done is said after everything else was."""
    if wrong:
        raise FirewallError("; ".join(wrong[:3]))
