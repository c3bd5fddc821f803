"""What happens next is a matter of the ending alone."""

from sidecar.sources.docker.endings import Ending, Next, ReadingEnded


def test_reading_rests_only_where_a_container_stopped_or_its_log_cannot_be_read():
    resting = {each for each in Ending if each.next in (Next.REST, Next.REST_UNTIL_RENAMED)}

    assert resting == {Ending.STOPPED, Ending.UNREADABLE}


def test_an_ending_can_be_raised():
    assert (ReadingEnded(Ending.STUCK).ending, str(ReadingEnded(Ending.STUCK))) == (Ending.STUCK, "STUCK")
