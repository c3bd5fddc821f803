"""A jail.local of fail2ban, used as it is: the distribution's fail2ban and wp-sidecar ban the same and mail the same."""

import contextlib
import email
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from email import policy

import pytest

from tests.support.fail2ban import running_fail2ban
from tests.support.paths import ROOT
from tests.support.running import Running
from tests.support.waiting import wait_until

SMTP_PORT = 2525
# Failures and how many minutes ago they were, and whether that is a ban: three in ten minutes, of no address of `ignoreip`.
CLIENTS = {
    "203.0.113.7": ([(3, 0)], True),
    "203.0.113.8": ([(2, 0)], False),
    "203.0.113.9": ([(2, 15), (2, 0)], False),
    "198.51.100.7": ([(5, 0)], False),
    "192.0.2.44": ([(1, 5), (2, 0)], True),
}
BANNED = sorted(address for address, (_, is_banned) in CLIENTS.items() if is_banned)
JAIL_LOCAL = """
[DEFAULT]
ignoreip = 127.0.0.1/8 ::1 198.51.100.7
bantime = 1h
findtime = 10m
maxretry = 3
destemail = ops@example.org
sender = guard@example.org
sendername = The guard
action = %(action_mwl)s

[sshd]
enabled = false

[wordpress]
enabled = true
port = http,https
filter = wordpress
logpath = {log}
"""
# Both here alone: clients are lines in a file, and fail2ban's drops are not the question.
OURS, THEIRS = "witness = off\naggregate = off\n", "backend = polling\nbanaction = nothing\n"


class Pasted(Running):
    """A daemon with the folder of fail2ban, mounted and named as docs/coming-from-fail2ban.md says."""

    def configure(self, more=""):
        conf = self.folder / "fail2ban"
        if not conf.exists():
            # Debian's jail.d turns on sshd.
            shutil.copytree("/etc/fail2ban", conf, ignore=shutil.ignore_patterns("jail.d", "jail.local"))
            shutil.copy(ROOT / "tests/config/tutorial/filter.d/wordpress.conf", conf / "filter.d")
            (conf / "fail2ban.local").write_text("[Definition]\ndbfile = None\n")
            (conf / "action.d/nothing.conf").write_text("[Definition]\nactionban =\n")
            # Instead of /usr/sbin/sendmail, which is not there: each mail is a file.
            mails = self.folder / "theirs"
            mails.mkdir()
            mailcmd = f'{self.folder}/sendmail -f "<sender>" "<dest>"'
            (conf / "action.d/sendmail-common.local").write_text(f"[Init]\nmailcmd = {mailcmd}\n")
            script = self.folder / "sendmail"
            # Whole from the first moment.
            script.write_text(
                f'#!/bin/sh\nf=$(mktemp {self.folder}/mailXXXXXX)\ncat > "$f"\nmv "$f" {mails}/\n'
            )
            script.chmod(0o755)
        self.log = self.folder / "auth.log"
        (conf / "jail.local").write_text(JAIL_LOCAL.format(log=self.log) + more)

    @property
    def environ(self):
        return super().environ | {
            "WP_SIDECAR_JAILS": str(self.folder / "fail2ban/jail.conf"),
            "WP_SIDECAR_FILTERS": str(self.folder / "fail2ban/filter.d"),
            "WP_SIDECAR_ACTIONS": str(self.folder / "fail2ban/action.d"),
            "WP_SIDECAR_SMTP_URL": f"smtp://127.0.0.1:{SMTP_PORT}",
            "DOCKER_HOST": f"unix://{self.folder}/none.sock",
        }

    def attack(self):
        """Log what all clients do, as syslog has it."""
        now, lines = datetime.now(), []  # noqa: DTZ005 - as syslog has it
        for address, (failures, _) in CLIENTS.items():
            text = f"web wordpress(blog)[7]: Authentication failure for admin from {address}\n"
            for times, minutes in failures:
                at = now - timedelta(minutes=minutes)
                lines += [(at, f"{at:%b %d %H:%M:%S} {text}")] * times
        with self.log.open("a") as log:
            log.writelines(line for _, line in sorted(lines))

    @contextlib.contextmanager
    def mail_server(self):
        """A real SMTP server in the namespace; yield the folder in which each mail is a file."""
        box = self.folder / "ours"
        argv = [sys.executable, "-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{SMTP_PORT}", "-c"]
        with subprocess.Popen([*self.enter, *argv, "aiosmtpd.handlers.Mailbox", str(box)]) as server:
            try:
                wait_until((box / "new").is_dir)
                yield box / "new"
            finally:
                server.kill()

    @contextlib.contextmanager
    def fail2ban(self):
        with running_fail2ban(self.enter, self.folder / "fail2ban") as log:
            wait_until(lambda: log.exists() and "Jail 'wordpress' started" in log.read_text())
            yield log


@pytest.fixture
def daemon(tmp_path):
    running = Pasted(tmp_path)
    running.log.touch()
    yield running
    running.close()


def mails_of_bans(folder):
    """What the mails about bans in this folder say, by the address: who sends and gets it, and the log lines in it."""
    found = {}
    for path in folder.iterdir():
        message = email.message_from_bytes(path.read_bytes(), policy=policy.default)
        address = re.search(r"banned (\S+)", message["Subject"], re.IGNORECASE)
        if not address:
            continue
        lines = re.split(
            r"^(?:Log lines:|Lines containing failures of .*)$", message.get_content(), flags=re.MULTILINE
        )[1]
        assert address[1] not in found
        found[address[1]] = (
            message["From"].addresses[0].addr_spec,
            message["To"].addresses[0].addr_spec,
            sum("Authentication failure for admin from " in line for line in lines.splitlines()),
        )
    return found


@pytest.mark.timeout(180)
def test_the_same_addresses_are_banned_and_the_same_mails_are_sent(daemon):
    daemon.configure(THEIRS)
    with daemon.fail2ban() as log:
        daemon.attack()
        wait_until(lambda: len(mails_of_bans(daemon.folder / "theirs")) == len(BANNED), 60, log.read_text)
        theirs = mails_of_bans(daemon.folder / "theirs")
    daemon.log.write_text("")
    daemon.configure(OURS)
    with daemon.mail_server() as box:
        daemon.start(ready=False)
        daemon.wait_until_read(daemon.log)
        daemon.attack()
        wait_until(lambda: len(mails_of_bans(box)) == len(BANNED), 60, daemon.stderr)
        banned = sorted(daemon.banned())
        ours = mails_of_bans(box)

    assert banned == sorted(theirs) == BANNED
    assert ours == theirs
