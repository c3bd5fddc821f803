from sidecar.core.events import Who
from sidecar.core.window import Window

ANN, BOB = Who("203.0.113.7"), Who("203.0.113.8")


def test_bans_at_maxretry_within_findtime():
    window = Window(maxretry=3, findtime=600)

    assert [window.add(ANN, at) for at in (0, 300, 600)] == [False, False, True]


def test_slow_guessing_never_fills_the_window():
    window = Window(maxretry=3, findtime=600)

    assert not any(window.add(ANN, at) for at in range(0, 86_400, 301))


def test_a_full_window_starts_afresh():
    window = Window(maxretry=2, findtime=600)

    assert [window.add(ANN, at) for at in (0, 1, 2, 3)] == [False, True, False, True]


def test_one_failure_is_enough_when_maxretry_is_one():
    window = Window(maxretry=1, findtime=600)

    assert window.add(ANN, 0) and len(window) == 0


def test_addresses_are_counted_apart():
    window = Window(maxretry=2, findtime=600)

    assert [window.add(who, 0) for who in (ANN, BOB, ANN)] == [False, False, True]


def test_failures_of_one_moment_all_count():
    window = Window(maxretry=3, findtime=0)

    assert [window.add(ANN, 5) for _ in range(3)] == [False, False, True]


def test_a_late_line_counts_at_its_own_time():
    window = Window(maxretry=3, findtime=600)

    assert [window.add(ANN, at) for at in (0, 10, 9000, 5)] == [False, False, False, True]


def test_a_late_line_does_not_stretch_the_window():
    window = Window(maxretry=3, findtime=600)

    assert [window.add(ANN, at) for at in (1000, 1600, 390)] == [False, False, False]


def test_the_window_is_decided_as_by_counting_all_failures():
    """Against the plain definition: is there a stretch of findtime around this failure that holds maxretry?"""
    times = [0, 70, 30, 200, 150, 160, 90, 400, 410, 420, 1000, 405, 995, 990]
    window, seen, expected, decided = Window(maxretry=4, findtime=100), [], [], []
    for at in times:
        seen.append(at)
        full = any(
            at in range(start, start + 101) and sum(start <= t <= start + 100 for t in seen) >= 4
            for start in seen
        )
        seen = [] if full else seen
        expected.append(full)
        decided.append(window.add(ANN, at))

    assert decided == expected


def test_forgets_who_has_been_quiet():
    window = Window(maxretry=3, findtime=600)
    window.add(ANN, 0)
    window.add(BOB, 500)
    window.forget(now=601)

    assert len(window) == 1


def test_clear_takes_back_what_counted():
    window = Window(maxretry=2, findtime=600)
    window.add(ANN, 0)
    window.clear(ANN)
    window.clear(BOB)

    assert not window.add(ANN, 1)


def test_the_longest_silent_goes_when_too_many_are_tracked():
    window = Window(maxretry=2, findtime=600, tracked=1)
    window.add(ANN, 0)
    window.add(BOB, 1)

    assert (len(window), window.forgotten) == (1, 1)
    assert window.add(BOB, 2)


def test_a_target_counts_once_for_as_long_as_its_address_is_remembered():
    window = Window(maxretry=3, findtime=600)

    assert not window.repeats(ANN, "/.env")
    assert not window.add(ANN, 0, "/.env")
    assert (window.repeats(ANN, "/.env"), window.repeats(ANN, "/.git"), window.repeats(BOB, "/.env")) == (
        True,
        False,
        False,
    )
    window.forget(now=601)
    assert not window.repeats(ANN, "/.env")


def test_targets_are_forgotten_with_what_counted():
    window = Window(maxretry=2, findtime=600, tracked=1)
    for who, at in ((ANN, 0), (BOB, 1)):  # ANN is one too many to track
        window.add(who, at, "x")

    assert (window.repeats(ANN, "x"), window.repeats(BOB, "x")) == (False, True)
    assert window.add(BOB, 2, "y")
    assert not window.repeats(BOB, "x")
    window.add(BOB, 3, "x")
    window.clear(BOB)
    assert not window.repeats(BOB, "x")


def test_the_newest_targets_are_kept_twice_as_many_as_fill_the_window():
    window = Window(maxretry=2, findtime=0)
    for at in range(9):
        window.add(ANN, at, f"target {at}")

    assert [at for at in range(9) if window.repeats(ANN, f"target {at}")] == [5, 6, 7, 8]
