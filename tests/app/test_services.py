"""What runs beside the loop, in a daemon as `build` makes it."""

from tests.app.world import printed

SERVICES = """
import gc, os, time
from sidecar.app.daemon import Startup
from sidecar.app.wiring import build
from sidecar.config import reader

daemon = build(reader.read(os.environ), lambda: None, time.time)
(startup,) = (each for each in gc.get_objects() if isinstance(each, Startup))
print(*(service.name for service in startup.services), sep="\\n")
"""


def test_each_service_has_a_name_of_its_own(environ):
    names = printed(SERVICES, environ)

    assert {"reload", "firewall monitor", "housekeeping"} <= set(names)
    assert len(set(names)) == len(names)


def test_only_a_member_of_a_fleet_publishes_and_subscribes(environ):
    alone = printed(SERVICES, environ)
    member = printed(SERVICES, environ | {"WP_SIDECAR_REDIS_URL": "redis://192.0.2.1"})

    assert set(member) - set(alone) == {"fleet publisher", "fleet subscriber"}
