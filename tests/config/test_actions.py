import pytest

from sidecar.config import reader
from sidecar.config.action_names import MAILS, NOT_CARRIED
from sidecar.config.actions import lacking_notes
from sidecar.config.jails import read
from sidecar.core.actions import DEFAULT_EVENTS, Action, AlertEvent
from sidecar.core.jail import Jail
from tests.support.paths import ROOT

TUTORIAL = ROOT / "tests/config/tutorial"


@pytest.fixture
def of(tmp_path):
    """What a jails file with this text means."""

    def make(text, **files):
        path = tmp_path / "jails.conf"
        path.write_text(text)
        for name, content in files.items():
            (tmp_path / "action.d").mkdir(exist_ok=True)
            (tmp_path / "action.d" / f"{name}.conf").write_text(content)
        return read(path, [], look=False)

    return make


def notes(found):
    return [note.partition("jails.conf: ")[2] or note for note in found.notes]


def kinds(found, jail=0):
    return [(action.kind, action.name) for action in found.jails[jail].actions]


@pytest.mark.parametrize("name", ["jail.local"])
def test_the_tutorials_configuration_works_when_pasted(name):
    found = read(TUTORIAL / name, [TUTORIAL / "filter.d"], look=False)
    ((jail,), (manual,)) = found.jails, found.manual_actions
    (action,) = jail.actions

    assert (action.kind, action.name) == ("http", "slack")
    assert [event for event, _ in action.requests] == [AlertEvent.START, AlertEvent.BAN]
    assert action.events == {AlertEvent.START, AlertEvent.BAN, AlertEvent.BYPASS, AlertEvent.PROBLEM}
    assert manual.name == "slack"
    assert found.errors == found.notes == ()


def test_the_files_may_lie_in_one_folder(tmp_path):
    for path in TUTORIAL.rglob("*"):
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    found = read(tmp_path / "jail.local", [tmp_path], look=False)

    assert kinds(found) == [("http", "slack")]


def test_a_folder_of_actions_may_be_named(tmp_path):
    jails, actions = tmp_path / "jails.conf", TUTORIAL / "action.d"
    jails.write_text("[wordpress]\naction = slack\n")
    environ = {"WP_SIDECAR_JAILS": str(jails), "WP_SIDECAR_ACTIONS": str(actions)}

    assert reader.read(environ, look=False).jails[0].actions[0].kind == "http"


def test_fail2bans_shortcuts_need_no_definition(of):
    found = of(
        """[DEFAULT]
destemail = ops@example.org
sender = root@<fq-hostname>
action = %(action_mwl)s
[wordpress]
[wordpress-access]
action = %(action_)s
[wordpress-auth]
action = %(action_mw)s
"""
    )
    mwl, mw = found.jails[0].actions[0], found.jails[2].actions[0]

    assert [kinds(found, jail) for jail in range(3)] == [
        [("mail", "sendmail-whois-lines")], [], [("mail", "sendmail-whois")],
    ]  # fmt: skip
    assert dict(mwl.options) == {
        "whois": "1", "lines": "1", "dest": "ops@example.org", "sender": "root@<fq-hostname>",
    }  # fmt: skip
    assert "lines" not in dict(mw.options)
    assert notes(found) == []


def test_several_lines_and_shortcuts_of_ones_own(of):
    found = of(
        """[DEFAULT]
action_andslack = %(action_)s
                  slack[url="https://hooks.example/x", channel="#ops"]
[wordpress]
action = %(action_andslack)s
         webhook[url=https://a.example, secret=s,
                 events="ban,unban", sites="blog* shop"]
         apprise[url="tgram://a/b, ntfy://c"]  # two of them
"""
    )
    slack, webhook, apprise = found.jails[0].actions

    assert slack == Action(
        "slack", "slack", (("url", "https://hooks.example/x"), ("channel", "#ops")),
        source="`action` of [wordpress]",
    )  # fmt: skip
    assert (webhook.events, webhook.sites) == ({AlertEvent.BAN, AlertEvent.UNBAN}, ("blog*", "shop"))
    assert dict(apprise.options) == {"url": "tgram://a/b, ntfy://c"}
    assert slack.events == DEFAULT_EVENTS
    assert notes(found) == []


def test_what_drops_packets_is_noted_once(of):
    found = of(
        """[DEFAULT]
banaction = iptables-multiport
action = %(action_)s
[wordpress]
[wordpress-access]
action = nftables[type=allports]
"""
    )

    assert notes(found) == [
        "DEFAULT.action: iptables-multiport is not run: wp-sidecar's own nftables table drops what is banned"
    ]


def test_a_file_that_only_drops_packets_is_noted_with_its_line(of):
    found = of(
        "[wordpress]\naction = drop\n", drop="[Definition]\nactionban = iptables -A INPUT -s <ip> -j DROP\n"
    )

    assert kinds(found) == []
    assert notes(found) == [
        "DEFAULT.action: `iptables -A INPUT -s <ip> -j DROP` is not run: wp-sidecar's own nftables table drops what is banned"
    ]


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("abuseipdb[key=x]", f"abuseipdb is not carried over: {NOT_CARRIED['abuseipdb']}"),
        ("slak[url=https://a.example]", "slak is not carried over: unknown. Did you mean slack?"),
        ("slack[url=hooks]", "slack is not carried over: expected one http(s) URL"),
        ("slack[format=fancy]", "slack is not carried over: format: unknown"),
        (
            "slack[events=bann]",
            'slack is not carried over: expected events (start, stop, ban, unban, found, bypass, problem), got "bann"',
        ),
        ("slack[chanel=x]", "slack: the option chanel has no effect: unknown. Did you mean channel?"),
        ("sendmail[dest=nobody]", 'sendmail is not carried over: expected mail addresses, got "nobody"'),
        ("exec[command=touch x]", "exec is not carried over: exec needs command="),
        ("webhook[secret=whsec_!]", "webhook is not carried over: expected base64"),
        ("slack[", "slack is not carried over: expected slack[option=value], quoted"),
        (
            "webhook[url=https://secret.example/x y=z]",
            "webhook is not carried over: expected one http(s) URL",
        ),
        ("slack[url=https://secret.example/%(gone)s/x]", "`slack`: `%(gone)s` is defined nowhere"),
        ("%(nowhere)s", "`%(nowhere)s`: `%(nowhere)s` is defined nowhere"),
    ],
)
def test_what_is_wrong_is_a_note_and_the_jail_runs_with_the_other_actions(of, line, note):
    found = of(f"[wordpress]\naction = {line}\n         mail[dest=a@example.org]\n")

    assert [jail.name for jail in found.jails] == ["wordpress"]
    assert kinds(found)[-1] == ("mail", "mail")
    assert "secret" not in str(found.notes)
    assert len(found.notes) == 1 and notes(found)[0].startswith(f"wordpress.action: {note}")


def test_a_name_that_is_not_defined_costs_only_its_own_action(of):
    found = of(
        """[wordpress]
action_cf = cloudflare[cfuser="%(cfemail)s", cftoken="%(cfapikey)s"]
            mail[dest="a@example.org"]
action = %(action_cf)s
"""
    )

    assert kinds(found) == [("mail", "mail")]
    assert [note.partition(": ")[2].partition(" ")[0] for note in notes(found)] == [
        "`%(action_cf)s`:", "`%(action_cf)s`:", "cloudflare",
    ]  # fmt: skip


def test_a_mail_server_may_be_named_as_in_fail2bans_smtp(of):
    line = 'smtp[host="mail.example:587", user="a:b", password="c d", ssl=True, dest="x@example.org"]'
    (action,) = of(f"[wordpress]\naction = {line}\n").jails[0].actions

    assert dict(action.options) == {"dest": "x@example.org", "server": "smtps://a%3Ab:c%20d@mail.example:587"}


def test_a_command_is_a_list_of_arguments(of):
    line = """exec[command="/usr/local/bin/ban '<ip> x' --jail <name>", timeout=30s]"""
    (action,) = of(f"[wordpress]\naction = {line}\n").jails[0].actions

    assert dict(action.options) == {
        "arguments": '["/usr/local/bin/ban", "<ip> x", "--jail", "<name>"]',
        "timeout": "30.0",
    }
    assert action.events == {AlertEvent.BAN}


def test_an_own_file_stands_before_a_name_of_fail2bans(of):
    text = "[Definition]\nactionban = curl -d 'text=<ip> is out' https://a.example\n"
    stock = "[Definition]\nactionban = printf x | <mailcmd>\n"
    found = of("[wordpress]\naction = mail\n  sendmail-whois\n", **{"mail": text, "sendmail-whois": stock})

    assert kinds(found) == [("http", "mail"), ("mail", "sendmail-whois")]


def test_what_an_action_lacks_is_a_note(tmp_path):
    jails = tmp_path / "jails.conf"
    jails.write_text("[wordpress]\naction = %(action_mw)s\n  slack\n  exec[command=/bin/true]\n")
    found = reader.read({"WP_SIDECAR_JAILS": str(jails)}, look=False)

    assert [note.partition(", as it has ")[2] for note in found.notes] == [
        "no mail server: set WP_SIDECAR_SMTP_URL, as smtp://mail.example:25",
        "no URL: set SLACK_WEBHOOK_URL, or slack[url=...]",
        "no permission: set WP_SIDECAR_EXEC=1 if whoever writes this file may run programs",
    ]
    assert lacking_notes([Jail("a", actions=found.jails[0].actions)], {"slack": "https://a"})[0].startswith(
        "a.action: "
    )


def test_each_name_of_fail2bans_mails_is_one(of):
    for name in MAILS:
        assert kinds(of(f"[wordpress]\naction = {name}[dest=a@example.org]\n")) == [("mail", name)]
