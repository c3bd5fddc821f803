"""Which container we are in."""

import pytest

from sidecar.sources.own_container import container_id_in

OWN = "ab" * 32


@pytest.mark.parametrize(
    ("mountinfo", "own"),
    [
        (
            f"1 2 8:1 /var/lib/docker/containers/{OWN}/hostname /etc/hostname rw,relatime - ext4 /dev/sda1 rw\n",
            OWN,
        ),
        (f"1 2 8:1 /containers/{OWN}/resolv.conf /etc/resolv.conf rw - ext4 /dev/sdb1 rw\n", OWN),
        # the host sees what other containers mount
        (f"1 2 0:9 / /var/lib/docker/containers/{OWN}/mounts/shm rw - tmpfs shm rw\n", ""),
        ("", ""),
    ],
)
def test_our_own_container_is_known_by_its_mounts(mountinfo, own):
    assert container_id_in(mountinfo) == own
