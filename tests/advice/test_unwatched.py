import pytest

from sidecar.advice.unwatched import unwatched
from sidecar.core.watched import Unwatched, UnwatchedReason


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        (UnwatchedReason.OTHERS_ENABLED, 'Add to its compose file: `labels: wp-sidecar.enable: "true"`'),
        (
            UnwatchedReason.NO_SUCH_JAIL,
            'Add to its compose file: `labels: wp-sidecar.jails: "wordpress wordpress-access wordpress-auth"`',
        ),
        (UnwatchedReason.NO_JAIL, "Add to a jail: `containers = shop`"),
    ],
)
def test_each_reason_comes_with_the_line_to_change(reason, line):
    sentence = unwatched(Unwatched("shop", reason))

    assert sentence.startswith("the WordPress container shop is not watched: ")
    assert line in sentence
    assert sentence.endswith('or exclude it: `labels: wp-sidecar.enable: "false"`')
