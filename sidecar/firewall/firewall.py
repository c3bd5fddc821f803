"""The sink that keeps the banned out of this host: decisions in, one transaction to the kernel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from sidecar.core.events import Ban, Decision, Turn, Who
from sidecar.core.jail import WEB, Jail
from sidecar.firewall import changes
from sidecar.firewall.changes import ALLOW, CHAIN, COUNTERS, SCHEMA, Gate, Put, Take
from sidecar.firewall.drops import Drops
from sidecar.firewall.kernel import Kernel, Shape
from sidecar.firewall.netlink import FirewallError, NoPermission
from sidecar.firewall.nft import Nft
from sidecar.firewall.wanted import Wanted

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
        self._gates = {jail.name: Gate(jail.ports) for jail in jails}
        self._web = Gate(WEB)  # for a ban whose jail is not configured any more
        self._doors = tuple(dict.fromkeys([self._web, *self._gates.values()]))
        self._hosts = tuple(gate.hosts(version) for gate in self._doors for version in (4, 6))
        self._nets = {gate.nets(version): version for gate in self._doors for version in (4, 6)}
        self._allow: tuple[str, ...] = ()
        self._published: frozenset[int] | None = None  # None: nobody has said yet
        self._wanted = Wanted()
        self._shape: Shape | None = None  # of the table as we last left it; None: we have not written it yet
        self._seen: int | None = None  # the generation in which the kernel had all that is wanted

    def start(self, bans: Sequence[Ban], now: float) -> None:
        """Put these bans, and no others, in force. A table of ours that is there stays in force meanwhile."""
        self._wanted = Wanted()
        wrong: list[str] = []
        for name, ban in self._seated(bans, wrong):
            self._wanted.put(name, ban.jail, ban.who, ban.until)
        with self._catching_up(self._kernel.generation()):
            shape = self._kernel.shape()
            if self._published is None:
                self._published = self._published_before(shape)
            self._restore(shape, now)
        _complain(wrong)

    def apply(self, turn: Turn) -> None:
        """Carry out what was decided: one transaction up to 1,000 addresses, and one for each 1,000 more."""
        wrong: list[str] = []
        touched: dict[tuple[str, Who], bool] = {}  # whether they were in before
        for name, decision in self._seated(turn.decisions, wrong):
            touched.setdefault((name, decision.who), self._wanted.has(name, decision.who))
            if isinstance(decision, Ban):
                self._wanted.put(name, decision.jail, decision.who, decision.until)
            else:
                self._wanted.take(name, decision.jail, decision.who)
        self._enforce(touched, turn.at)
        _complain(wrong)

    def surround(self, allow: Iterable[str], published: frozenset[int] | None = None) -> None:
        """Who may pass whatever is decided (networks), and which ports the gates close besides their own.

        `published` None: not known (yet), so they stay as they are. A start that knows none keeps those of the table
        that is there: until the container engine has answered, no port of the last run opens.
        """
        before = (self._allow, self._published)
        self._allow = tuple(allow)
        if published is not None:
            self._published = published
        if self._shape is not None and before != (self._allow, self._published):
            self._run(self._surroundings())

    def reconcile(self, now: float, *, whole: bool = False) -> Repair | None:
        """Make the kernel's table what is wanted again. None: it was.

        Next to nothing where nobody but us has changed the host's firewall since; else, and with `whole` in any
        case, all is read and compared (100,000 bans: 0.5 s).
        """
        generation = self._kernel.generation()
        if generation == self._seen and not whole:
            return None
        with self._catching_up(generation):
            shape = self._kernel.shape()
            if shape is not None and shape == self._shape:
                return self._amend(now)
            restored, removed = self._restore(shape, now)
            return Repair("table" if shape is None else "structure", restored, removed)

    def flush(self) -> None:
        """Remove the table: everyone is let in."""
        self._run(changes.removal())
        self._wanted, self._shape = Wanted(), None

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
                name = changes.seat(decision.who, self._gates.get(decision.jail, self._web))
            except ValueError as err:
                wrong.append(str(err))
            else:
                yield name, decision

    def _enforce(self, touched: Mapping[tuple[str, Who], bool], now: float) -> None:
        """Write what is now wanted of those (set, who) -> were they in?."""
        edits: list[Put | Take] = []
        nets = set()
        for (name, who), was_in in touched.items():
            until = self._wanted.until(name, who)
            if name in self._nets:
                nets.add(name)
            elif until is None or until <= now:
                edits.append(Take(name, changes.element(who)))
            else:
                edits.append(Put(name, changes.element(who), until - now, fresh=not was_in))
        self._write([line for name in sorted(nets) for line in self._networks(name, now)], edits)

    def _restore(self, shape: Shape | None, now: float) -> tuple[int, int]:
        """Whatever there is -> what is wanted, with no open moment where a table is.

        Returns how many addresses were put in and how many taken out.
        """
        if shape is None:
            done = self._build(now)
        elif self._is_ours(shape) and self._restructure():
            repair = self._amend(now)
            done = (repair.restored, repair.removed) if repair else (0, 0)
        else:
            done = self._replace(now)
        self._shape = self._kernel.shape()
        return done

    def _published_before(self, shape: Shape | None) -> frozenset[int] | None:
        """The ports that the last run was told of, as far as the table still says."""
        if shape is None or shape.schema != SCHEMA:
            return None
        return frozenset(
            port
            for gate in self._doors
            if gate.ports is not None
            for port in {int.from_bytes(key, "big") for key in self._kernel.elements(gate.open_to)}
            - gate.ports
        )

    def _is_ours(self, shape: Shape) -> bool:
        """Whether this table is, as far as names and schema go, the one that we would make."""
        sets = {
            *ALLOW.values(),
            *self._hosts,
            *self._nets,
            *(g.open_to for g in self._doors if g.ports is not None),
        }
        return (
            shape.schema == SCHEMA and shape.awake and shape.names == ({CHAIN}, sets, set(COUNTERS.values()))
        )

    def _restructure(self) -> bool:
        """Write the structure over the one that is there. False: it is of another make and in the way."""
        try:
            self._run(self._structure())
        except NoPermission:
            raise
        except FirewallError:
            return False
        return True

    def _build(self, now: float) -> tuple[int, int]:
        """A table where none is; the latest bans in its first transaction."""
        edits = self._everyone(now)
        self._write([*self._structure(), *self._all_networks(now)], edits)
        return len(edits), 0

    def _replace(self, now: float) -> tuple[int, int]:
        """A table instead of another.

        All in one transaction, however long (100,000 bans: 0.7 to 2 s), so that no packet finds the gate open.
        """
        self.counters()  # the last look at the old one
        edits = self._everyone(now)
        lines = [*changes.removal(), *self._structure(), *self._all_networks(now)]
        try:
            self._run([*lines, *changes.bans(edits)])
        except NoPermission:
            raise
        except FirewallError:
            # In a user namespace some 20,000 bans are too long a message; better a moment's gap than none in force.
            self._write(lines, edits)
        return len(edits), 0

    def _amend(self, now: float) -> Repair | None:
        """Compare what the sets hold with what is wanted, and write the difference."""
        edits = [
            edit
            for name in self._hosts
            for edit in changes.amend(name, self._wanted.everyone(name), self._kernel.elements(name), now)
        ]
        lines = [
            line for name in self._nets if self._differs(name, now) for line in self._networks(name, now)
        ]
        around = [] if self._surroundings_are_right() else self._surroundings()
        self._write([*around, *lines], edits)
        if not (around or lines or edits):
            return None
        removed = sum(isinstance(edit, Take) for edit in edits)
        return Repair("surroundings" if around else "bans", len(edits) - removed, removed)

    def _differs(self, name: str, now: float) -> bool:
        """Whether a set of wider networks is another than it should be."""
        wanted, there = changes.pieces(self._wanted.everyone(name), now), self._kernel.intervals(name)
        return wanted.keys() != there.keys() or not all(
            changes.alike(there[at], left) for at, left in wanted.items()
        )

    def _surroundings_are_right(self) -> bool:
        allow = all(
            set(changes.allowed(version, self._allow)) == self._kernel.intervals(name).keys()
            for version, name in ALLOW.items()
        )
        return allow and all(
            {port.to_bytes(2, "big") for port in gate.ports | self._ports}
            == self._kernel.elements(gate.open_to).keys()
            for gate in self._doors
            if gate.ports is not None
        )

    def _structure(self) -> list[str]:
        return changes.structure(self._doors, self._allow, self._ports)

    def _surroundings(self) -> list[str]:
        return changes.surroundings(self._doors, self._allow, self._ports)

    @property
    def _ports(self) -> frozenset[int]:
        return self._published or frozenset()

    def _everyone(self, now: float) -> list[Put | Take]:
        """All hosts, those who came in last first."""
        return [
            Put(name, changes.element(who), until - now)
            for name in self._hosts
            for who, until in reversed(tuple(self._wanted.everyone(name).items()))
            if until > now
        ]

    def _networks(self, name: str, now: float) -> list[str]:
        return changes.networks(name, self._nets[name], self._wanted.everyone(name), now)

    def _all_networks(self, now: float) -> list[str]:
        return [line for name in self._nets for line in self._networks(name, now)]

    @contextmanager
    def _catching_up(self, generation: int) -> Iterator[None]:
        """Within, all is compared with the kernel of this generation. Where that fails, nothing is known."""
        self._seen = generation
        try:
            yield
        except BaseException:
            self._seen = None
            raise

    def _run(self, lines: Sequence[str]) -> None:
        """One transaction. Where it fails, or others had one meanwhile, the next `reconcile` reads all."""
        if not lines:
            return
        before, self._seen = self._seen, None
        self._nft.run(lines)
        if before is not None and self._kernel.generation() == before + 1:
            self._seen = before + 1

    def _write(self, lines: Iterable[str], edits: Sequence[Put | Take]) -> None:
        """These lines and the first bans in one transaction, then the rest of the bans."""
        first, *rest = changes.chunks(edits)
        self._run([*lines, *changes.bans(first)])
        for chunk in rest:
            self._run(changes.bans(chunk))


def _complain(wrong: Sequence[str]) -> None:
    """What could not be done is said after everything else was."""
    if wrong:
        raise FirewallError("; ".join(wrong[:3]))
