"""The sender for mail: SMTP, with the network's owner and the log lines where the action asks for them."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formataddr, formatdate
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

from sidecar.alerts.notices import LAST_LINE, Notice
from sidecar.alerts.sender import Delayed, MessageRefused, Rejected
from sidecar.core.actions import Action
from sidecar.core.text import printable

PORTS: Final = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}
TIMEOUT_S: Final = 10.0
MAX_SUBJECT_LENGTH: Final = 200
MAX_ADDRESSES: Final = 2_000


class OwnerLookup(Protocol):
    """Knows which network an address belongs to."""

    def lines(self, address: str) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in."""

    host: str
    port: int
    # "smtp" uses TLS if it is offered, "smtp+starttls" only then sends, "smtps" is TLS from the beginning.
    scheme: str = "smtp"
    user: str = ""
    password: str = ""

    @classmethod
    def of_url(cls, url: str) -> MailServer:
        """Return the server of `smtps://user:password@mail.example:465`. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError("expected smtp://host, smtp+starttls://user:password@host or smtps://…")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(parts.hostname, parts.port or PORTS[parts.scheme], parts.scheme, user, password)


class Mail:
    """Sends notices to the addresses of one action."""

    def __init__(
        self, server: MailServer, action: Action, owner: OwnerLookup, host: str = "", name: str = "mail"
    ) -> None:
        self.name = name
        self._server, self._action, self._owner, self._host = server, action, owner, host

    def send(self, notice: Notice, within_s: float) -> None:
        """Send the notice. Raises Delayed, Rejected or MessageRefused."""
        message = self._message(notice)
        try:
            with self._connected(within_s) as connection:
                refused = connection.send_message(message)
        except smtplib.SMTPAuthenticationError as err:
            raise MessageRefused(
                f"{self._words} does not accept the user or the password ({err.smtp_code})."
            ) from None
        except smtplib.SMTPSenderRefused as err:
            self._raise_for(err.smtp_code, "the sender", whole=True)
        except smtplib.SMTPRecipientsRefused as err:
            self._raise_for(min(code for code, _ in err.recipients.values()), "any recipient", whole=True)
        except smtplib.SMTPResponseException as err:
            self._raise_for(err.smtp_code, "the message", whole=False)
        except smtplib.SMTPNotSupportedError:
            raise MessageRefused(
                f"{self._words} offers no TLS or no login: change the scheme of its URL."
            ) from None
        except ssl.SSLCertVerificationError as err:
            raise MessageRefused(
                f"{self._words} has a certificate that is not valid ({err.verify_message})."
            ) from None
        except (smtplib.SMTPException, OSError) as err:
            reason = getattr(err, "strerror", "") or type(err).__name__
            raise Delayed(f"{self._words} cannot be reached: {reason}.") from None
        if refused:
            raise Rejected(f"{self._words} refused some of the recipients: {', '.join(refused)}.")

    @property
    def _words(self) -> str:
        return f"The mail server {self._server.host}"

    def _connected(self, within_s: float) -> smtplib.SMTP:
        server, timeout_s = self._server, max(0.1, min(TIMEOUT_S, within_s))
        context = ssl.create_default_context()
        if server.scheme == "smtps":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, timeout=timeout_s, context=context
            )
        else:
            connection = smtplib.SMTP(server.host, server.port, timeout=timeout_s)
        try:
            connection.ehlo()
            if server.scheme == "smtp+starttls" or (
                server.scheme == "smtp" and connection.has_extn("starttls")
            ):
                connection.starttls(context=_opportunistic() if server.scheme == "smtp" else context)
                connection.ehlo()
            if server.user:
                connection.login(server.user, server.password)
        except BaseException:
            connection.close()
            raise
        return connection

    def _raise_for(self, code: int, what: str, *, whole: bool) -> None:
        """Raise what an answer of the server means (RFC 5321: 4yz is for now, 5yz for good)."""
        if code < 500:
            raise Delayed(f"{self._words} answered {code}.") from None
        sentence = f"{self._words} does not accept {what} ({code})"
        if whole:
            raise MessageRefused(
                f"{sentence}: correct `sender` and `dest` in {self._action.source}."
            ) from None
        raise Rejected(f"{sentence}.") from None

    def _message(self, notice: Notice) -> EmailMessage:
        message = EmailMessage()
        host = self._host or socket.gethostname()
        sender = self._action.option("sender") or f"wp-sidecar@{host}"
        sender = sender.replace("<fq-hostname>", host).replace("<sh-hostname>", host)
        message["From"] = formataddr((printable(self._action.option("sendername") or "wp-sidecar"), sender))
        message["To"] = ", ".join(recipients(self._action.option("dest")))
        message["Subject"] = printable(f"[wp-sidecar] {host}: {notice.text}", MAX_SUBJECT_LENGTH)
        message["Date"] = formatdate(notice.at or None)
        # Out of office replies would come to the sender.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content("\n".join(self._body(notice)) + "\n", cte="quoted-printable")
        return message

    def _body(self, notice: Notice) -> list[str]:
        one = notice.occurrence
        log_lines = one.lines if one and self._action.option("lines") else ()
        # The last line is one of those.
        fields = [each for each in notice.fields if not (log_lines and each.title == LAST_LINE)]
        lines = [notice.text, "", *(f"{each.title}: {printable(each.value)}" for each in fields)]
        if notice.digest and notice.digest.count > len(notice.digest.first):
            lines += ["", "Addresses:", *notice.digest.addresses[:MAX_ADDRESSES]]
        if one and self._action.option("whois"):
            lines += ["", f"The network of {one.address}:", *self._owner.lines(one.address)]
        if log_lines:
            lines += ["", "Log lines:", *map(printable, log_lines)]
        return lines


def recipients(text: str) -> Sequence[str]:
    """Return the addresses of `dest`, which are separated by commas or blanks."""
    return text.replace(",", " ").split()


def _opportunistic() -> ssl.SSLContext:
    """Return TLS without a check of the certificate: any is better than none, and nobody asked for TLS."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
