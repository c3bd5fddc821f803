from sidecar.core.bounded_dict import drop_oldest, drop_while, halved


def test_the_oldest_sixteenth_is_dropped():
    table = dict.fromkeys(range(32))

    assert drop_oldest(table) == [(0, None), (1, None), (2, None)]
    assert list(table) == list(range(3, 32))


def test_at_least_one_entry_is_dropped():
    table = {"only": 1}

    assert (drop_oldest(table), table) == ([("only", 1)], {})


def test_the_newer_half_is_kept_and_no_fewer_than_the_least():
    table = dict.fromkeys(range(9))

    assert halved(table, 2) == (dict.fromkeys(range(5, 9)), 5)
    assert halved(table, 7) == (dict.fromkeys(range(2, 9)), 2)
    assert halved(table, 9) == (table, 0)
    assert halved({}, 9) == ({}, 0)


def test_old_entries_are_dropped_up_to_one_that_is_not_old():
    table = {"a": 1, "b": 2, "c": 9, "d": 1}
    drop_while(table, lambda age: age < 3)

    assert table == {"c": 9, "d": 1}
