from sidecar.app.log_states import LogStates
from sidecar.core.events import Origin
from sidecar.sources.base import ReopenReason
from tests.app.world import ReadableMetrics


def test_the_state_of_each_log_is_shown_and_measured():
    readable = ReadableMetrics()
    logs = LogStates(readable.metrics)
    logs.log_opened("blog")
    logs.log_opened("shop")
    logs.log_closed("shop")
    logs.log_unreadable("mail")

    assert logs.states == {"blog": "open", "shop": "closed", "mail": "unreadable"}
    assert [readable.value("log_up", container=name) for name in logs.states] == [1, 0, 0]


def test_what_is_read_and_lost_is_counted():
    readable = ReadableMetrics()
    logs = LogStates(readable.metrics)
    logs.log_opened("blog")
    logs.batch_read(Origin("docker", "blog", "stdout"), 3, 300, last=5.0)
    logs.lines_truncated("blog", 2)
    logs.log_gap("blog")
    logs.log_reopened("blog", ReopenReason.IDLE)

    assert readable.value("log_lines_total", container="blog", stream="stdout") == 3
    assert readable.value("log_lines_truncated_total", container="blog") == 2
    assert readable.value("log_gaps_total", container="blog") == 1
    assert readable.value("log_reopens_total", container="blog", reason="idle") == 1


def test_a_removed_log_takes_its_series_along():
    readable = ReadableMetrics()
    logs = LogStates(readable.metrics)
    logs.log_opened("blog")
    readable.metrics.allowlist.failed("blog", "ignoreip", 1)
    logs.log_removed("blog")

    assert logs.states == {}
    assert readable.value("log_up", container="blog") is None
    assert readable.value("allowlisted_failures_total", container="blog", reason="ignoreip") is None
