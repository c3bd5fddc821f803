from contextlib import closing
from dataclasses import replace

import pytest

from sidecar.core.address import Address
from sidecar.core.events import Ban, Turn, Unban
from sidecar.stores import past_bans
from sidecar.stores.base import EndedBan, PastBansWanted, StoreError
from sidecar.stores.sqlite import SqliteStore
from tests.support.stored import ANN, BAN, BOB, LOADED, PERMANENT

LATER = 200.0


def past(store, **wanted):
    return [
        (each.ban.address, each.ban.at, each.ended, each.ended_by)
        for each in store.past_bans(PastBansWanted(**wanted))
    ]


def unban(address=ANN, cause="expired", at=LATER):
    return Unban("wordpress", address, at, cause)


def test_a_ban_that_is_over_is_kept_as_it_was(store, path):
    store.apply(Turn(100.0, (BAN, PERMANENT)))
    assert past(store) == []

    store.apply(Turn(LATER, (unban(), unban(BOB, "manual"))))
    store.close()
    with closing(SqliteStore(path)) as again:
        assert again.past_bans(PastBansWanted()) == [
            EndedBan(replace(LOADED, decided_at=BAN.at), LATER, "expired"),
            EndedBan(replace(PERMANENT, decided_at=PERMANENT.at), LATER, "manual"),
        ]


def test_each_ban_of_an_address_is_kept_with_the_cause_of_its_end(store):
    by_hand = Ban("wordpress", ANN, 150.0, 900.0, "manual")
    store.apply(Turn(100.0, (BAN,)))
    store.apply(Turn(150.0, (by_hand,)))
    store.apply(Turn(160.0, (replace(by_hand, at=160.0, until=950.0),)))
    store.apply(Turn(LATER, (unban(cause="fleet"), unban(cause="expired"))))

    assert past(store) == [(ANN, 160.0, LATER, "fleet"), (ANN, 100.0, 150.0, "replaced")]


def test_bans_that_begin_and_end_in_one_turn_are_kept(store):
    by_hand = Ban("wordpress", ANN, 150.0, 900.0, "manual")
    store.apply(Turn(LATER, (BAN, by_hand, unban(), replace(BAN, at=LATER), unban(at=300.0), unban())))

    assert past(store) == [
        (ANN, LATER, 300.0, "expired"),
        (ANN, 150.0, LATER, "expired"),
        (ANN, 100.0, 150.0, "replaced"),
    ]


def test_a_ban_that_ended_while_nobody_ran_has_expired(store):
    store.apply(Turn(100.0, (BAN,)))
    store.forget(90_000.0)

    assert past(store) == [(ANN, 100.0, BAN.until, "expired")]


def test_they_are_chosen_the_last_made_first(store):
    made = [
        replace(BAN, address=Address(f"203.0.113.{n}"), at=100.0 + n, origin_name=f"shop-{n}", jail=jail)
        for n, jail in ((1, "mail"), (2, "wordpress"), (3, "wordpress"))
    ]
    wide = replace(BAN, address=Address("203.0.113.0/28"), at=99.0)
    store.apply(Turn(110.0, (*made, wide)))
    store.apply(Turn(LATER, tuple(Unban(each.jail, each.address, LATER, "manual") for each in (*made, wide))))

    def at(**wanted):
        return [each[1] for each in past(store, **wanted)]

    assert at() == [103.0, 102.0, 101.0, 99.0]
    assert at(limit=2) == [103.0, 102.0]
    assert at(limit=0) == []
    assert at(since=102.0) == [103.0, 102.0]
    assert at(jail="mail") == [101.0]
    assert at(site="shop-[12]") == [102.0, 101.0]
    # With the networks that hold it.
    assert at(address=Address("203.0.113.3")) == [103.0, 99.0]
    assert at(address=Address("203.0.113.2/31")) == [103.0, 102.0, 99.0]
    assert at(address=Address("198.51.100.0/24")) == []


def test_their_number_is_bounded_and_the_old_are_forgotten(store, monkeypatch):
    monkeypatch.setattr(past_bans, "MAX_PAST_BANS", 2)
    for n in range(4):
        store.apply(Turn(n, (replace(BAN, at=float(n)), unban(at=float(n)))))
    assert [each[1] for each in past(store)] == [3.0, 2.0]

    store.forget(0.0, history_before=3.0)
    assert [each[1] for each in past(store)] == [3.0]


def test_a_row_that_we_cannot_have_written_is_left_out(store):
    store.apply(Turn(100.0, (BAN,)))
    store.apply(Turn(LATER, (unban(),)))
    with store._db.transaction() as db:
        db.execute("INSERT INTO past_bans SELECT NULL, jail, 'nobody', at, until, cause, failures, site, reason, "
                   "times, observed, ended, ended_by FROM past_bans")  # fmt: skip
        db.execute("INSERT INTO past_bans (jail, who) VALUES ('x', '203.0.113.9')")

    assert past(store) == [(ANN, 100.0, LATER, "expired")]


def test_a_file_that_cannot_be_read_is_a_sentence(store, path):
    path.unlink()

    with pytest.raises(StoreError, match="cannot be read"):
        store.past_bans(PastBansWanted())
    store.unavailable = "not there yet"
    with pytest.raises(StoreError, match="not there yet"):
        store.past_bans(PastBansWanted())


def test_a_jail_stands_for_the_jails_of_its_sites(store):
    at_blog = replace(BAN, jail="wordpress@blog")
    others = [replace(BAN, jail=name) for name in ("wordpress-access@blog", "wordpress_x", "mail@wordpress")]
    store.apply(Turn(100.0, (at_blog, *others)))
    store.apply(Turn(LATER, tuple(Unban(each.jail, ANN, LATER, "expired") for each in (at_blog, *others))))

    found = {name: [each.ban.jail for each in store.past_bans(PastBansWanted(jail=name))] for name in
             ("wordpress", "wordpress@blog", "word", "mail")}  # fmt: skip
    assert found == {
        "wordpress": ["wordpress@blog"], "wordpress@blog": ["wordpress@blog"], "word": [], "mail": ["mail@wordpress"]
    }  # fmt: skip
    assert PastBansWanted(jail="wordpress").has(at_blog)
    assert not any(PastBansWanted(jail="wordpress").has(each) for each in others)
