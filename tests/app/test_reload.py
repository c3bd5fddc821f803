from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from sidecar.app.reload import Reconfiguration
from sidecar.config.errors import ConfigError, ConfigErrors
from sidecar.config.settings import Settings
from sidecar.core.jail import Jail

SETTINGS = Settings((Jail("web"),), {}, alerts={"slack": "https://new.example"})
GUARD = SimpleNamespace(view=SimpleNamespace(jails=("web", "manual")))


class Part:
    """Anything that is reconfigured: it keeps its name in the list of all."""

    def __init__(self, name, did, answer=None):
        self.name, self._did, self._answer = name, did, answer

    def reconfigure(self, *args):
        self.args = [*args[0]] if self.name == "metrics" else args
        self._did.append(self.name)
        return self._answer


class World:
    """All parts, and an inbox whose loop turns at once."""

    def __init__(self, *, fleet=True):
        self.did, self.error = [], None
        self.parts = {name: Part(name, self.did) for name in ("budget", "firewall", "metrics", "fleet")}
        self.parts["inputs"] = Part("inputs", self.did, ["a decision"])
        self.parts["outbox"] = Part("outbox", self.did)
        named = dict(self.parts)
        if not fleet:
            named["fleet"] = None
        self.reconfiguration = Reconfiguration(inbox=self, reading=self, **named)

    def decide(self, command):
        done = Future()
        self.decisions = command(GUARD, 5.0)
        done.set_result(self.decisions)
        return done

    def prepare(self, settings):
        self.did.append("prepare")
        if self.error:
            raise self.error
        return SimpleNamespace(settings=settings)

    def reconfigure(self, prepared, now):
        assert (prepared.settings, now) == (SETTINGS, 5.0)
        self.did.append("reading")


def test_each_part_is_reconfigured_in_its_place():
    world = World()
    world.reconfiguration.apply(SETTINGS)

    assert world.did == [
        "prepare", "budget", "inputs", "firewall", "metrics", "fleet", "reading", "outbox",
    ]  # fmt: skip
    assert world.decisions == ["a decision"]
    assert world.parts["budget"].args == (SETTINGS.budget,)
    assert world.parts["inputs"].args == (SETTINGS, GUARD, 5.0)
    assert world.parts["firewall"].args == (("web", "manual"), 5.0)
    assert world.parts["metrics"].args == ["web"]
    assert world.parts["fleet"].args == (SETTINGS.jails, SETTINGS.fleet.keys)
    ((channel,),) = world.parts["outbox"].args
    assert (channel.key, channel.sender.name) == ("slack", "slack")


def test_a_host_in_no_fleet_has_none_to_reconfigure():
    world = World(fleet=False)
    world.reconfiguration.apply(SETTINGS)

    assert "fleet" not in world.did


def test_settings_that_cannot_be_prepared_change_nothing():
    world = World()
    world.error = ConfigErrors([ConfigError("environment", "", "", "no Docker socket")])
    with pytest.raises(ConfigErrors):
        world.reconfiguration.apply(SETTINGS)

    assert world.did == ["prepare"]
