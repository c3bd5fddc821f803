import math
import sys

import pytest

from sidecar.control.protocol import (
    MAX_HISTORY_LIMIT,
    BanRequest,
    BansRequest,
    ExplainRequest,
    HealthRequest,
    HistoryRequest,
    Refused,
    ReloadRequest,
    StatusRequest,
    UnbanRequest,
)

ANN = "203.0.113.7"


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        (HealthRequest(), {"do": "health"}),
        (StatusRequest(), {"do": "status"}),
        (ReloadRequest(), {"do": "reload"}),
        (BansRequest(), {"do": "bans", "evidence": True}),
        (BansRequest(evidence=False, fleet=True), {"do": "bans", "evidence": False, "fleet": True}),
        (HistoryRequest(ANN), {"do": "history", "who": ANN}),
        (
            HistoryRequest(None, 5.0, "login", "shop-*", 7),
            {"do": "history", "who": None, "since": 5.0, "jail": "login", "site": "shop-*", "limit": 7},
        ),
        (ExplainRequest(ANN), {"do": "explain", "who": ANN}),
        (BanRequest(ANN), {"do": "ban", "who": ANN, "jail": "", "for": None, "reason": ""}),
        (
            BanRequest(ANN, "login", math.inf, "rude"),
            {"do": "ban", "who": ANN, "jail": "login", "for": -1, "reason": "rude"},
        ),
        (UnbanRequest(ANN, web=True), {"do": "unban", "who": ANN, "jail": "", "web": True}),
        (UnbanRequest(None), {"do": "unban", "who": None, "jail": ""}),
        (
            UnbanRequest(ANN, "login", fleet=True),
            {"do": "unban", "who": ANN, "jail": "login", "fleet": True},
        ),
    ],
)
def test_a_request_arrives_as_it_was_sent(request_, sent):
    assert request_.as_json() == sent
    assert type(request_).from_json(sent) == request_


@pytest.mark.parametrize(
    ("kind", "request_"),
    [
        (BansRequest, BansRequest(evidence=True, fleet=False)),
        (UnbanRequest, UnbanRequest(None, "", fleet=False)),
        (BanRequest, BanRequest("None", "", None, "")),
        (HistoryRequest, HistoryRequest()),
    ],
)
def test_fields_that_are_absent_have_their_defaults(kind, request_):
    assert kind.from_json({"do": kind.command}) == request_


@pytest.mark.parametrize(
    "seconds", ["soon", math.nan, [1], True, 0, 0.001, -0.001, -0.999, -1.001, -2, -math.inf, -(10**400)]
)
def test_a_ban_time_is_a_number_of_at_least_a_second(seconds):
    with pytest.raises(Refused, match="a ban lasts for a number of seconds, 1 or more, or -1 for good"):
        BanRequest.from_json({"who": ANN, "for": seconds})


@pytest.mark.parametrize(
    ("seconds", "bantime"),
    [
        (-1, math.inf),
        (-1.0, math.inf),
        (1, 1.0),
        (3600.5, 3600.5),
        (10**400, sys.float_info.max),
        (None, None),
    ],
)
def test_a_ban_time_is_read_as_it_was_meant(seconds, bantime):
    assert BanRequest.from_json({"who": ANN, "for": seconds}).bantime == bantime


@pytest.mark.parametrize("limit", ["many", True, math.nan, None])
def test_a_limit_is_a_number(limit):
    with pytest.raises(Refused, match="limit has to be a number, not"):
        HistoryRequest.from_json({"limit": limit})


@pytest.mark.parametrize(("limit", "taken"), [(-1, 0), (2.5, 2), (math.inf, MAX_HISTORY_LIMIT)])
def test_a_limit_is_bounded(limit, taken):
    assert HistoryRequest.from_json({"limit": limit}).limit == taken
