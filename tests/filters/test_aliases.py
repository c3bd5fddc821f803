"""A filter of another project that is not there is answered with ours that counts the same."""

import pytest

from sidecar.filters.aliases import ours
from sidecar.filters.loader import FilterErrors, load, pack


@pytest.mark.parametrize(
    ("name", "mine"),
    [
        ("wordpress-soft", "wordpress"),
        ("wp-login", "wordpress-access"),
        ("wordpress-wp-login", "wordpress-access"),
        ("nginx-wordpress", "wordpress-access"),
        ("nginx-wp-login", "wordpress-access"),
        ("apache-wp-xmlrpc", "wordpress-xmlrpc"),
        ("xmlrpc", "wordpress-xmlrpc"),
        ("nginx-botsearch", "wordpress-probes"),
        ("sshd", ""),
        ("nextcloud", ""),
        ("wordpress-hard", ""),
    ],
)
def test_a_name_of_others_stands_for_a_filter_of_ours(name, mine):
    assert ours(name) == mine
    assert not mine or load(mine, [pack()]).failregex


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("wp-login", "; `wordpress-access` of ours counts such failures; or copy its file into {folder}"),
        ("nextcloud", "wordpress-xmlrpc; or copy its file into {folder}"),
        ("wordpres", "; did you mean `wordpress`?"),
    ],
)
def test_the_error_says_what_to_take_instead(tmp_path, name, end):
    with pytest.raises(FilterErrors) as failed:
        load(name, [tmp_path, pack()])

    assert failed.value.errors[0].message.endswith(end.format(folder=tmp_path))
