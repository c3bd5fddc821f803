import math
import threading

import pytest

from sidecar.control.protocol import Refused
from sidecar.control.server import LIMITS, ControlApplication, ControlSocket, control_server
from tests.control.answerers import Answerer


def answer(request):
    match request["do"]:
        case "status":
            return {"bans": 3}
        case "inf":
            return {"until": math.inf}
    raise Refused(f"there is no command {request['do']}")


@pytest.fixture
def served():
    """Starts control servers in threads, and ends them all."""
    started = []

    def serve(path, answer=answer, limits=LIMITS):
        control = control_server(ControlSocket(path), ControlApplication(Answerer(answer)), limits)
        thread = threading.Thread(target=control.run)
        thread.start()
        started.append((control, thread))
        return control

    yield serve
    for control, thread in started:
        control.close()
        thread.join(60)
        assert not thread.is_alive()
