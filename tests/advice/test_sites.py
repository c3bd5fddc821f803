from sidecar.advice.sites import MAX_NAMES, without_ports


def test_sites_without_a_port_of_their_own_are_named_with_what_to_change():
    sentence = without_ports(["blog", "shop"], ["wordpress", "wordpress-access"])

    assert sentence.startswith("bans for the logs of blog, shop drop nothing")
    assert "wordpress, wordpress-access have `scope = site`" in sentence
    assert "Publish a port for each site" in sentence


def test_so_many_are_named():
    assert f"site{MAX_NAMES - 1} and 3 more drop" in without_ports(
        [f"site{number}" for number in range(MAX_NAMES + 3)], ["wordpress"]
    )


def test_where_there_are_too_many_sites_that_is_said():
    sentence = without_ports(["blog"], ["wordpress"], ["blog"])

    assert (
        "only 64 sites can have ports of their own here" in sentence and "Put them behind a proxy" in sentence
    )
