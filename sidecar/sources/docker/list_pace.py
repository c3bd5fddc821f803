"""How often the containers are listed."""

from __future__ import annotations

# Between the beginnings of two lists, however many events there are: a short time, and a multiple of what a list takes,
# so that lists need no more than a small part of a processor.
MIN_LIST_INTERVAL_S = 0.2
MIN_LIST_INTERVAL_IN_LISTS = 20
MAX_LIST_INTERVAL_S = 2.0
# A container that just started may end at once and be removed with its log, so it is listed without waiting, as long as
# there is credit: the time that the same part of a processor gives, saved up to this.
MAX_CREDIT_S = 5.0


class ListPace:
    """When the next list may begin. Times are of any one clock."""

    def __init__(self, now: float) -> None:
        self._next_at = now
        self._credit_s, self._credited_at = MAX_CREDIT_S, now

    def listed(self, began: float, ended: float) -> None:
        """Note a list."""
        self._credit_s = self._credit(ended) - (ended - began)
        self._credited_at = ended
        self._next_at = began + list_interval_s(ended - began)

    def delay_s(self, now: float, *, urgent: bool) -> float:
        """Return the seconds until the next list may begin."""
        if urgent and self._credit(now) > 0:
            return 0.0
        return max(0.0, self._next_at - now)

    def _credit(self, now: float) -> float:
        return min(MAX_CREDIT_S, self._credit_s + (now - self._credited_at) / MIN_LIST_INTERVAL_IN_LISTS)


def list_interval_s(list_took_s: float) -> float:
    """Return the seconds from the beginning of a list that took this long to the beginning of the next one."""
    return min(max(MIN_LIST_INTERVAL_S, MIN_LIST_INTERVAL_IN_LISTS * list_took_s), MAX_LIST_INTERVAL_S)
