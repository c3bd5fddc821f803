from sidecar.advice.unwatched import unwatched


def test_the_sentence_has_the_line_to_change():
    assert unwatched("shop") == (
        "the WordPress container shop is not watched: each jail has `logpath` or `containers`, and none names it. "
        'Add to a jail: `containers = shop`; or exclude it: `labels: wp-sidecar.enable: "false"`'
    )
