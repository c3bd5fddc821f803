import shutil
import subprocess
import sys

import pytest

from sidecar.firewall import NoPermission

NO_CAPABILITY = """
import time
from sidecar.firewall import Firewall, NftTable, NoPermission
from sidecar.firewall.nft import Nft
start, write = lambda: Firewall(NftTable(), []).start([], time.time()), lambda: Nft().run(["add table inet wp_sidecar"])
for attempt in start, write:
    try:
        attempt()
    except NoPermission as err:
        print(err)
"""


@pytest.mark.usefixtures("host")
def test_without_the_capability_one_sentence_says_what_to_change():
    assert shutil.which("setpriv"), "this test needs `setpriv`: install util-linux"
    less = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", sys.executable, "-c"]
    ran = subprocess.run([*less, NO_CAPABILITY], capture_output=True, text=True, check=True)

    assert ran.stdout.splitlines() == 2 * [str(NoPermission())]
    assert "`cap_add: [NET_ADMIN]`" in ran.stdout
    assert "run as root" in ran.stdout
