"""The memory limit of this process is found where cgroup v2 or v1 has it."""

import subprocess
import sys

import pytest

from sidecar.runtime import memory
from sidecar.runtime.memory import MemoryCgroup, MemoryUse
from tests.support.cgroups import memory_limit

V2 = "anon 52428800\nfile 99999999\nkernel 1\n"
V1 = "cache 99999999\nrss 1\ntotal_cache 99999999\ntotal_rss 52428800\n"


def folder(root, files):
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / name).write_text(text)


@pytest.mark.parametrize(
    ("path", "own", "files"),
    [
        (".", "0::/\n", {"memory.max": "134217728\n", "memory.stat": V2}),
        ("kubepods/pod1", "0::/kubepods/pod1\n", {"memory.max": "134217728\n", "memory.stat": V2}),
        (
            "memory",
            "5:cpu:/x\n9:memory:/docker/abc\n",
            {"memory.limit_in_bytes": "134217728\n", "memory.stat": V1},
        ),
        (
            "memory/docker/abc",
            "9:memory:/docker/abc\n",
            {"memory.limit_in_bytes": "134217728\n", "memory.stat": V1},
        ),
    ],
)
def test_the_limit_and_what_is_used_without_the_page_cache(tmp_path, path, own, files):
    folder(tmp_path / "cgroup" / path, files)
    folder(tmp_path, {"own": own})

    found = MemoryCgroup.find(tmp_path / "cgroup", tmp_path / "own")

    assert found.use() == MemoryUse(used=50 << 20, limit=128 << 20)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"memory.max": "max\n", "memory.stat": V2},
        {"memory.max": "134217728\n", "memory.stat": "nothing 1\n"},
        {"memory.max": "134217728\n"},
        {"memory.limit_in_bytes": "9223372036854771712\n", "memory.stat": V1},
    ],
)
def test_without_a_limit_there_is_nothing_to_watch(tmp_path, files):
    folder(tmp_path / "cgroup", files)

    assert MemoryCgroup.find(tmp_path / "cgroup", tmp_path / "missing") is None


LOOK = """
import sys
from sidecar.runtime import memory
from sidecar.runtime.memory import MemoryCgroup
kept = bytearray(30_000_000)
print(*MemoryCgroup.find().use())
"""


def test_a_real_cgroup_says_what_a_process_uses():
    """Of the kernel that runs the tests, v1 or v2."""
    with memory_limit(200 << 20) as limited:
        done = subprocess.run(
            [*limited, sys.executable, "-c", LOOK], capture_output=True, text=True, check=True
        )

    used, limit = map(int, done.stdout.split())
    assert limit == 200 << 20
    assert 30_000_000 < used < 80_000_000


def test_a_process_may_be_the_first_that_the_kernel_ends(tmp_path, monkeypatch):
    script = (
        "from sidecar.runtime.memory import OOM_SCORE, end_before_others\n"
        "end_before_others()\nprint(OOM_SCORE.read_text())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "1000"
    monkeypatch.setattr(memory, "OOM_SCORE", tmp_path / "none" / "oom_score_adj")
    memory.end_before_others()


def test_what_is_free_between_blocks_in_use_is_given_back():
    # In a process of its own, as memory that others freed counts too.
    script = (
        "from pathlib import Path\n"
        "from sidecar.runtime.memory import give_back_free_memory\n"
        "def pages():\n    return int(Path('/proc/self/statm').read_text().split()[1])\n"
        "blocks = [bytes(20_000) for _ in range(2_000)]\n"
        "kept = blocks[::50]\n"
        "del blocks\n"
        "before = pages()\n"
        "give_back_free_memory()\n"
        "print(before - pages())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert int(done.stdout) > 5_000
