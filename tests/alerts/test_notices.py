from sidecar.alerts.notices import listed


def test_lists_fit_into_a_message():
    names = [f"container-{number:03}" for number in range(100)]

    assert listed([]) == ""
    assert listed(["a", "b"]) == "a, b"
    assert listed(["a", "b"], 9_999, "; ") == "a; b and 9,997 more"
    assert listed(names) == ", ".join(names[:40]) + " and 60 more"
