"""The distribution's fail2ban, with files of ours."""

import contextlib
import subprocess


@contextlib.contextmanager
def running_fail2ban(enter, conf):
    """Run it with this folder in place of /etc/fail2ban. Yield the file that it logs to.

    `enter` is the command that runs another one in the namespace of the test.
    """
    log = conf / "log"
    options = ["-f", "-c", conf, "-s", conf / "sock", "-p", conf / "pid", "--logtarget", log]
    with subprocess.Popen([*enter, "fail2ban-server", *map(str, options), "start"]) as server:
        try:
            yield log
        finally:
            server.terminate()
