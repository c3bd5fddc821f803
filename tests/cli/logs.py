"""A log as `docker logs -t` prints it, with a burst of failures: what several commands are tried on."""

DAY = "2026-11-22T08:"


def docker(*lines):
    return "".join(f"{DAY}{time}.123456789Z {text}\n" for time, text in lines).encode()


BURST = docker(
    ("40:00", "fail 203.0.113.7"),
    ("40:01", "a visitor"),
    ("40:02", "wrong password for admin from 203.0.113.7"),
    ("40:02", "fail 10.0.0.1"),
    ("40:03", "fail 203.0.113.7"),
)
