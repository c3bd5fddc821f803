"""The daemon as `build` makes it, in a network namespace of its own: a real kernel's firewall, files for logs."""

from tests.app.world import printed

# Prints what refers to the guard and to its view: objects by their class, and anything else, such as a bound method or
# a closure, by its type.
HOLDERS = """
import gc, os, sys, time, types
from sidecar.app.wiring import build
from sidecar.config import reader
from sidecar.core.guard import Guard
from sidecar.core.queries import GuardView

def holders(kind):
    objects = gc.get_objects()
    (wanted,) = (each for each in objects if isinstance(each, kind))
    for each in gc.get_referrers(wanted):
        if each is objects or isinstance(each, types.FrameType):
            continue
        if isinstance(each, dict):
            each = next((owner for owner in objects if getattr(owner, "__dict__", None) is each), each)
        yield type(each).__name__

daemon = build(reader.read(os.environ), lambda: None, time.time)
for kind in (Guard, GuardView):
    print(kind.__name__, *sorted(set(holders(kind))))
"""


def test_only_the_loop_holds_the_guard(environ):
    assert printed(HOLDERS, environ) == ["Guard Loop", "GuardView Guard"]
