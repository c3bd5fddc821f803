def test_messages_are_counted_by_sender_and_result(scrape):
    assert scrape.all("alerts_total", "alerts_dropped_total") == {
        'alerts_total{result="delayed",sender="slack"}': 0,
        'alerts_total{result="rejected",sender="slack"}': 0,
        'alerts_total{result="sent",sender="slack"}': 0,
        'alerts_dropped_total{sender="slack"}': 0,
    }
    scrape.metrics.alerts.alert_sent("slack")
    scrape.metrics.alerts.alert_rejected("slack")
    scrape.metrics.alerts.alert_delayed("slack")
    scrape.metrics.alerts.alerts_dropped("slack", 4)

    assert scrape("alerts_total", "alerts_dropped_total") == {
        'alerts_total{result="delayed",sender="slack"}': 1,
        'alerts_total{result="rejected",sender="slack"}': 1,
        'alerts_total{result="sent",sender="slack"}': 1,
        'alerts_dropped_total{sender="slack"}': 4,
    }


def test_messages_that_wait_are_shown_by_sender(scrape):
    scrape.metrics.alerts.waiting({"slack": 3})

    assert scrape("alerts_waiting") == {'alerts_waiting{sender="slack"}': 3}
