def test_what_is_exchanged_with_the_fleet(scrape):
    fleet = scrape.metrics.fleet
    fleet.connected(up=True)
    fleet.peers(2)
    fleet.lag("b", 0.5)
    fleet.bans("sent", "ok", 3)
    fleet.bans("received", "redundant", 1)
    fleet.outbox(4)
    fleet.rejected("budget", 5)

    assert scrape(
        *(f"fleet_{name}" for name in ("connected", "peers", "lag_seconds", "outbox_decisions"))
    ) == {
        "fleet_connected": 1,
        "fleet_peers": 2,
        'fleet_lag_seconds{peer="b"}': 0.5,
        "fleet_outbox_decisions": 4,
    }
    assert scrape.all("fleet_bans_total", "fleet_rejected_total") == {
        'fleet_bans_total{direction="sent",result="ok"}': 3,
        'fleet_bans_total{direction="sent",result="failed"}': 0,
        'fleet_bans_total{direction="sent",result="dropped"}': 0,
        'fleet_bans_total{direction="sent",result="proposed"}': 0,
        'fleet_bans_total{direction="received",result="ok"}': 0,
        'fleet_bans_total{direction="received",result="redundant"}': 1,
        'fleet_rejected_total{reason="malformed"}': 0,
        'fleet_rejected_total{reason="budget"}': 5,
    }
