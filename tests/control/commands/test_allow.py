import pytest

from sidecar.control.commands.allow import AllowCommand, AllowedCommand, DisallowCommand
from sidecar.control.commands.bans import BanCommand
from sidecar.control.protocol import AllowedRequest, AllowRequest, BanRequest, DisallowRequest, Refused
from sidecar.core.allowlist import BY_HAND, Allowlist
from tests.control.daemon import ANN, BOB, NOW

ENTRY = {"ip": ANN, "at": NOW, "until": None, "comment": "office"}


class Inputs:
    """The allowlist has what people allowed, up to two entries."""

    def allow(self, entries, guard, now):
        if len(guard.view.allowed) == 2:
            raise ValueError("no more than two")
        guard.allow(entries)
        return self._apply(guard, now)

    def disallow(self, addresses, guard, now):
        ended = guard.disallow(addresses, now)
        self._apply(guard, now)
        return ended

    def _apply(self, guard, now):
        return guard.set_allowlist(Allowlist({BY_HAND: [each.address for each in guard.view.allowed]}), now)


@pytest.fixture
def inputs():
    return Inputs()


def allow(loop, inputs, address, **more):
    return AllowCommand(loop, inputs).answer(AllowRequest(address, **more))


def disallow(loop, inputs, address):
    return DisallowCommand(loop, inputs).answer(DisallowRequest(address))["disallowed"]


def allowed(loop):
    return list(AllowedCommand(loop).answer(AllowedRequest())["allowed"])


def test_in_a_fleet_it_holds_on_this_host_alone(loop, inputs):
    assert AllowCommand(loop, inputs, in_fleet=True).answer(AllowRequest(ANN))["alone"] is True


def test_what_is_allowed_is_unbanned_and_cannot_be_banned_until_it_is_disallowed(loop, inputs):
    BanCommand(loop).answer(BanRequest(ANN, jail="login"))

    assert allow(loop, inputs, ANN, comment="office") == {
        "allowed": [ENTRY],
        "unbanned": [{"ip": ANN, "jail": "login"}],
        "alone": False,
    }
    assert allowed(loop) == [ENTRY]
    with pytest.raises(Refused, match="is never banned: it is allowed by hand"):
        BanCommand(loop).answer(BanRequest(ANN))
    assert disallow(loop, inputs, ANN) == [ANN]
    assert disallow(loop, inputs, ANN) == []
    assert BanCommand(loop).answer(BanRequest(ANN))["banned"]


def test_what_is_allowed_for_a_time_has_an_end(loop, inputs):
    (entry,) = allow(loop, inputs, ANN, lasting=60.0)["allowed"]

    assert entry["until"] == NOW + 60


def test_what_is_over_is_not_shown(loop, inputs):
    # The loop's clock stands still.
    allow(loop, inputs, ANN, lasting=1e-18)

    assert allowed(loop) == []


def test_all_that_is_allowed_is_taken_back(loop, inputs):
    allow(loop, inputs, ANN)
    allow(loop, inputs, BOB)

    assert disallow(loop, inputs, None) == [ANN, BOB]
    assert allowed(loop) == []


def test_what_is_too_much_or_no_address_is_refused(loop, inputs):
    with pytest.raises(Refused, match="neither an address nor a network"):
        allow(loop, inputs, "office.example")
    with pytest.raises(Refused, match="neither an address nor a network"):
        disallow(loop, inputs, "office.example")
    allow(loop, inputs, ANN)
    allow(loop, inputs, BOB)
    with pytest.raises(Refused, match="no more than two"):
        allow(loop, inputs, "198.51.100.7")


@pytest.mark.parametrize("request_", [AllowRequest(ANN, 60.0, "x"), AllowRequest(ANN), DisallowRequest(ANN)])
def test_a_request_arrives_as_it_was_sent(request_):
    assert type(request_).from_json(request_.as_json()) == request_


def test_for_good_needs_no_number():
    assert AllowRequest.from_json(AllowRequest(ANN, float("inf")).as_json()) == AllowRequest(ANN)
    assert AllowRequest.from_json({"who": ANN, "for": -1}).lasting == float("inf")
    with pytest.raises(
        Refused, match="what is allowed is for a number of seconds, 1 or more, or -1 for good"
    ):
        AllowRequest.from_json({"who": ANN, "for": "soon"})
