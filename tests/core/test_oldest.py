from sidecar.core.oldest import drop_oldest


def test_the_oldest_sixteenth_goes():
    table = dict.fromkeys(range(32))

    assert drop_oldest(table) == [(0, None), (1, None), (2, None)]
    assert list(table) == list(range(3, 32))


def test_at_least_one_goes():
    table = {"only": 1}

    assert (drop_oldest(table), table) == ([("only", 1)], {})
