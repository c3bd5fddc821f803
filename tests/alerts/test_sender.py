from sidecar.alerts.sender import Delayed


def test_a_delay_says_why_and_for_how_long():
    delayed = Delayed("Slack answered 429.", after_s=7.0)

    assert (str(delayed), delayed.after_s) == ("Slack answered 429.", 7.0)
    assert Delayed("Slack answered 500.").after_s == 0.0
