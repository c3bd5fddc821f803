from sidecar.runtime.backoff import Backoff


def test_delays_double_up_to_the_longest():
    backoff = Backoff(0.5, 3.0)

    assert [backoff.next() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_a_success_begins_again():
    backoff = Backoff(1.0, 60.0)
    backoff.next()
    backoff.next()
    backoff.reset()

    assert backoff.next() == 1.0
