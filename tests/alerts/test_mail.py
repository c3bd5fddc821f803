"""Against a real SMTP server (aiosmtpd), also with TLS and a login."""

import contextlib
import email
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager
from email import policy

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from sidecar.alerts.compose import described, digested, problem
from sidecar.alerts.mail import Mail, MailServer, recipients
from sidecar.alerts.occurrences import Digest
from sidecar.alerts.sender import Delayed, MessageRefused, Rejected
from sidecar.core.actions import Action
from tests.alerts.support import ban


class Inbox:
    """What the server has accepted; `answers` are those to the next messages, by what they answer."""

    def __init__(self):
        self.got, self.answers = [], {}

    async def handle_RCPT(  # noqa: N802
        self, server, session, envelope, address, options
    ):
        if answer := self.answers.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_MAIL(  # noqa: N802
        self, server, session, envelope, address, options
    ):
        envelope.mail_from = address
        return self.answers.get("MAIL", "250 OK")

    async def handle_DATA(  # noqa: N802
        self, server, session, envelope
    ):
        if answer := self.answers.get("DATA"):
            return answer
        self.got.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 OK"

    # The server looks at all that is no method.
    def message(self):
        ((_, _, content),) = self.got
        return email.message_from_bytes(content, policy=policy.default)

    def text(self):
        return self.message().get_content().replace("\r\n", "\n")


@pytest.fixture
def inbox():
    return Inbox()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@contextmanager
def smtp_server(inbox, **more):
    """The port of a server."""
    controller = Controller(inbox, hostname="127.0.0.1", port=free_port(), **more)
    controller.start()
    yield controller.port
    controller.stop()


@pytest.fixture
def server(inbox):
    with smtp_server(inbox) as port:
        yield MailServer("127.0.0.1", port)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-days", "2",
         "-keyout", folder / "key", "-out", folder / "crt", *names],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


class KnownOwner:
    """An OwnerLookup with one answer."""

    def lines(self, address):
        return [f"Network of {address}"]


def mail(server, **options):
    given = {"dest": "ops@example.org", "sender": "f2b@example.org"} | options
    action = Action("mail", "sendmail", tuple(given.items()), source="`action` of [wordpress]")
    return Mail(server, action, KnownOwner(), "web1")


BAN = described(ban(7, lines=("first line", "last \x1b[2J line")))


def test_a_mail_has_the_message_and_its_fields(server, inbox):
    mail(server, sendername="The sidecar", dest="ops@example.org, dev@example.org").send(BAN, 5.0)
    ((sender, to, _),) = inbox.got

    assert (sender, to) == ("f2b@example.org", ["ops@example.org", "dev@example.org"])
    assert inbox.message()["Subject"] == "[wp-sidecar] web1: Banned 203.0.0.7 after 3 failures"
    assert inbox.message()["From"] == "The sidecar <f2b@example.org>"
    assert inbox.message()["Auto-Submitted"] == "auto-generated"
    assert "Address: 203.0.0.7\n" in inbox.text()
    assert "Network of" not in inbox.text() and "first line" not in inbox.text()


def test_mwl_has_the_networks_owner_and_the_lines(server, inbox):
    mail(server, whois="1", lines="1").send(BAN, 5.0)

    assert "Network of 203.0.0.7\n" in inbox.text()
    assert inbox.text().endswith("Log lines:\nfirst line\nlast \\x1b[2J line\n")
    assert inbox.text().count("2J line") == 1


def test_a_digest_has_all_addresses(server, inbox):
    digest = Digest()
    digest.add([ban(number) for number in range(400)])
    mail(server).send(digested(digest), 5.0)

    assert inbox.text().count("203.0.") >= 400


def test_nothing_of_an_attacker_becomes_a_header(server, inbox):
    notice = problem("docker\r\nBcc: all@example.org", "a\nb")
    mail(server, sendername="x\r\nBcc: a@b", sender="root@<fq-hostname>").send(notice, 5.0)

    assert inbox.message()["Bcc"] is None
    assert inbox.got[0][0] == "root@web1"


@pytest.mark.parametrize(
    ("answers", "kind", "words"),
    [
        ({"DATA": "451 later"}, Delayed, "answered 451"),
        ({"MAIL": "421 busy"}, Delayed, "answered 421"),
        ({"ops@example.org": "450 greylisted"}, Delayed, "answered 450"),
        ({"DATA": "554 spam"}, Rejected, "does not accept the message"),
        ({"MAIL": "550 no"}, MessageRefused, "does not accept the sender"),
        (
            {"ops@example.org": "550 unknown"},
            MessageRefused,
            r"correct `sender` and `dest` in `action` of \[wordpress\]",
        ),
    ],
)
def test_each_answer_says_what_becomes_of_the_message(server, inbox, answers, kind, words):
    inbox.answers = answers
    with pytest.raises(kind, match=words):
        mail(server).send(BAN, 5.0)


def test_one_recipient_that_is_refused_is_named_and_the_others_have_the_mail(server, inbox):
    inbox.answers = {"dev@example.org": "550 unknown"}
    with pytest.raises(Rejected, match=r"refused some of the recipients: dev@example\.org"):
        mail(server, dest="ops@example.org dev@example.org").send(BAN, 5.0)

    assert inbox.got[0][1] == ["ops@example.org"]


def test_a_server_that_is_not_there_may_come_back(server):
    with pytest.raises(Delayed, match="cannot be reached: Connection refused"):
        mail(MailServer("127.0.0.1", 1)).send(BAN, 1.0)


def test_tls_from_the_beginning_is_checked(certificate):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "crt", certificate / "key")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def shake_hands():
            connection, _ = listening.accept()
            with contextlib.suppress(ssl.SSLError), connection:
                context.wrap_socket(connection, server_side=True)

        thread = threading.Thread(target=shake_hands)
        thread.start()
        with pytest.raises(MessageRefused, match="has a certificate that is not valid"):
            mail(MailServer("127.0.0.1", listening.getsockname()[1], "smtps")).send(BAN, 5.0)
        thread.join()


def test_starttls_and_login(inbox, certificate):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "crt", certificate / "key")

    def authenticate(server, session, envelope, mechanism, data):
        return AuthResult(success=(data.login, data.password) == (b"me", b"p@ss"), handled=False)

    with smtp_server(
        inbox, tls_context=context, require_starttls=True, authenticator=authenticate, auth_required=True
    ) as port:
        mail(MailServer.of_url(f"smtp://me:p%40ss@127.0.0.1:{port}")).send(BAN, 5.0)
        with pytest.raises(MessageRefused, match=r"does not accept the user or the password \(535\)"):
            mail(MailServer.of_url(f"smtp://me:no@127.0.0.1:{port}")).send(BAN, 5.0)
        with pytest.raises(MessageRefused, match="has a certificate that is not valid"):
            mail(MailServer.of_url(f"smtp+starttls://me:p%40ss@127.0.0.1:{port}")).send(BAN, 5.0)
    assert len(inbox.got) == 1


def test_a_server_without_tls_gets_no_password(server):
    with pytest.raises(MessageRefused, match="offers no TLS or no login"):
        mail(MailServer(server.host, server.port, "smtp+starttls")).send(BAN, 5.0)


def test_urls_of_servers():
    assert MailServer.of_url("smtps://a%3Ab:c%20d@mail.example") == MailServer(
        "mail.example", 465, "smtps", "a:b", "c d"
    )
    assert [MailServer.of_url(f"{scheme}://x").port for scheme in ("smtp", "smtp+starttls")] == [25, 587]
    with pytest.raises(ValueError, match="expected smtp"):
        MailServer.of_url("http://x")
    assert recipients("a@b, c@d e@f") == ["a@b", "c@d", "e@f"]
