"""Process 1 of the bed's own process and mount namespaces: the others end with it, and their mounts.

Its standard input is its lifeline. It ends when that does, so a killed test run leaves nothing behind.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

RESOLVER = "/run/systemd/resolve"  # where Ubuntu's /etc/resolv.conf points; builds need it


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def private_run(*kept: str) -> None:
    """An own /run, for Docker's global sockets, in which only the `kept` folders are the machine's."""
    folders = [(path, os.open(path, os.O_PATH)) for path in kept if Path(path).is_dir()]
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for path, fd in folders:
        Path(path).mkdir(parents=True, exist_ok=True)
        # not canonical: by its descriptor the folder is reached though a mount hides its name
        mount("--no-canonicalize", "--rbind", f"/proc/{os.getpid()}/fd/{fd}", path)
        os.close(fd)


def cgroups() -> None:
    """Mounts what dockerd needs where no systemd did it; the machine's own mounts stay as they are."""
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists() or (root / "memory").is_mount():
        return
    legacy = [
        fields[0]
        for line in Path("/proc/cgroups").read_text().splitlines()
        if (fields := line.split()) and not line.startswith("#") and fields[3] == "1"
    ]
    if not root.is_mount():
        mount("-t", "tmpfs", "-o", "mode=755", "cgroup", str(root))
    for controller in legacy:
        folder = root / controller
        folder.mkdir(exist_ok=True)
        if not folder.is_mount():
            mount("-t", "cgroup", "-o", controller, "cgroup", str(folder))


def main(folder: str) -> None:
    outside = Path("/proc/self").readlink()  # /proc is still the machine's: our number as the others see it
    mount("-t", "proc", "proc", "/proc")
    private_run(folder, RESOLVER)
    socket = Path(folder, "activated.sock")
    if (
        socket.exists()
    ):  # what containers bind as /var/run/docker.sock; it outlives dockerd, as systemd's does
        Path("/run/docker.sock").touch()
        mount("--bind", str(socket), "/run/docker.sock")
    cgroups()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # orphans are ours: the kernel reaps them for us
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(outside, flush=True)  # noqa: T201
    while os.read(0, 4096):
        pass


if __name__ == "__main__":
    main(sys.argv[1])
