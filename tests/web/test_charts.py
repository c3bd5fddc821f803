from sidecar.web.charts import bars


def test_a_bar_stands_for_each_slot_with_something_in_it():
    svg = "".join(bars("Bans", [(0.0, 0), (600.0, 5), (1200.0, 10)], 144))

    assert svg.count("<rect") == 2
    assert "5</title>" in svg and "10</title>" in svg
    assert 'aria-label="Bans, last 24 hours: 15; the most in ten minutes: 10"' in svg
    # The newest is at the right edge.
    assert 'x="715.0"' in svg


def test_a_day_without_anything_has_no_bar():
    assert "<rect" not in "".join(bars("Bans", [], 144))
