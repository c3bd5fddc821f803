from sidecar.core.actions import Action, AlertEvent, RequestTemplate, completed, lacking

BAN, UNBAN = AlertEvent.BAN, AlertEvent.UNBAN


def test_an_action_wants_its_events_at_its_sites():
    action = Action("slack", "slack", sites=("blog*", "/var/log/*"))

    assert action.wants(BAN, "blog-1") and action.wants(BAN, "/var/log/a")
    assert not action.wants(BAN, "shop")
    # A ban by hand has no container, and neither has an unban.
    assert action.wants(BAN, "")
    assert Action("slack", "slack").wants(BAN, "shop")


def test_unbans_and_failures_are_sent_to_those_who_ask_for_them():
    assert not Action("slack", "slack").wants(UNBAN, "blog")
    assert Action("slack", "slack", events=frozenset({UNBAN})).wants(UNBAN, "blog")


def test_options_and_requests_are_found_by_their_names():
    start = RequestTemplate("https://hooks.example/x")
    action = Action("http", "slack", (("dest", "a@b.example"),), ((AlertEvent.START, start),))

    assert (action.option("dest"), action.option("sender", "root")) == ("a@b.example", "root")
    assert (action.requests_for(AlertEvent.START), action.requests_for(BAN)) == ([start], [])


def test_no_secret_is_shown_in_a_repr():
    assert "secret" not in repr(Action("webhook", "webhook", (("url", "https://secret.example"),)))


def test_settings_complete_an_action_where_it_says_nothing_itself():
    settings = {"smtp": "smtp://mail.example", "mail": "all@example.org", "slack": "https://all.example"}
    mail = completed(Action("mail", "sendmail", (("dest", "me@example.org"), ("sender", ""))), settings)
    own = Action("slack", "slack", (("url", "https://own.example"),))

    assert dict(mail.options) == {"server": "smtp://mail.example", "dest": "me@example.org"}
    assert completed(own, settings) == own
    assert completed(Action("slack", "slack"), settings).option("url") == "https://all.example"
    assert completed(Action("http", "x"), settings) == Action("http", "x")


def test_what_an_action_lacks_is_said():
    assert "SLACK_WEBHOOK_URL" in lacking(completed(Action("slack", "slack"), {}))
    assert "WP_SIDECAR_MAIL_TO" in lacking(completed(Action("mail", "mail"), {"smtp": "smtp://a"}))
    assert lacking(completed(Action("mail", "mail"), {"smtp": "smtp://a", "mail": "a@b"})) == ""
    assert lacking(completed(Action("apprise", "apprise", (("config", "/etc/a"),)), {"apprise": "x"})) == ""
    assert lacking(Action("http", "x")) == ""


def test_a_command_is_allowed_by_the_environment_alone():
    action = Action("exec", "exec", (("arguments", "[]"), ("allowed", "1")))

    assert "WP_SIDECAR_EXEC" in lacking(completed(action, {}))
    assert lacking(completed(action, {"exec": "1"})) == ""
