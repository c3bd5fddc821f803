from sidecar.core.bounded_dict import drop_oldest, drop_while


def test_the_oldest_sixteenth_is_dropped():
    table = dict.fromkeys(range(32))

    assert drop_oldest(table) == [(0, None), (1, None), (2, None)]
    assert list(table) == list(range(3, 32))


def test_at_least_one_entry_is_dropped():
    table = {"only": 1}

    assert (drop_oldest(table), table) == ([("only", 1)], {})


def test_old_entries_are_dropped_up_to_one_that_is_not_old():
    table = {"a": 1, "b": 2, "c": 9, "d": 1}
    drop_while(table, lambda age: age < 3)

    assert table == {"c": 9, "d": 1}
