"""`import`: many bans, and many addresses to allow, in one turn of the loop."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.control.commands.import_judge import UNBANNED, BoundedAllowlist, Draft, EntryJudge, Judgement
from sidecar.control.commands.loop_access import LoopAccess
from sidecar.control.transfer import ImportAnswer, ImportRequest
from sidecar.core.events import Decision, Unban
from sidecar.core.guard import Guard
from sidecar.core.queries import GuardView


class ImportCommand:
    """Takes over a list of bans and of what is allowed. One entry that is refused stops no other.

    The requests of a dry run are judged as if those before had been taken over, so they have a draft in common. There
    is one at a time: another name, or none, begins again with nothing.
    """

    request = ImportRequest

    def __init__(self, loop: LoopAccess, allowlist: BoundedAllowlist) -> None:
        self._loop, self._allowlist = loop, allowlist
        # Of the loop's thread, as the guard is.
        self._draft = Draft()

    def answer(self, request: ImportRequest) -> ImportAnswer:
        if request.dry_run:
            return self._loop.query(lambda view, now: self._dry_run(request, view, now)).answer()
        judgements: list[Judgement] = []

        def take_over(guard: Guard, now: float) -> Sequence[Decision]:
            judge = EntryJudge(guard.view, now, request.jail, Draft(), self._allowlist)
            judgement = judge.judge(request.entries)
            judgements.append(judgement)
            decisions: list[Decision] = []
            if judgement.allowed:
                decisions += self._allowlist.allow([*judgement.allowed.values()], guard, now)
            for ban in judgement.bans.values():
                decisions += guard.ban_until(ban.address, ban.until, now, ban.jail, ban.reason)
            return decisions

        decisions = self._loop.decide(take_over)
        judgements[0].counts[UNBANNED] = sum(isinstance(each, Unban) for each in decisions)
        return judgements[0].answer()

    def _dry_run(self, request: ImportRequest, view: GuardView, now: float) -> Judgement:
        if not request.draft or request.draft != self._draft.name:
            self._draft = Draft(request.draft)
        judge = EntryJudge(view, now, request.jail, self._draft, self._allowlist)
        return judge.judge(request.entries)
