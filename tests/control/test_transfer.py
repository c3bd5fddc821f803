import pytest

from sidecar.control.protocol import Refused
from sidecar.control.transfer import ImportRequest


@pytest.mark.parametrize("more", [{}, {"jail": "login"}, {"dry_run": True}])
def test_a_request_arrives_as_it_was_sent(more):
    request = ImportRequest([{"kind": "ban", "ip": "203.0.113.7"}], **more)

    assert ImportRequest.from_json(request.as_json()) == request


@pytest.mark.parametrize("entries", ["x", None, {}])
def test_entries_are_a_list(entries):
    with pytest.raises(Refused, match="entries has to be a list"):
        ImportRequest.from_json({"entries": entries})
