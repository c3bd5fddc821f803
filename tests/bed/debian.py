"""What is taken from Debian without a registry: the base image, and single packages unpacked."""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

SUITE = "trixie"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

# What the official slim image leaves out, and how it cleans up after apt (debuerreotype).
# Images made without are twice the size.
SLIM = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/locale.alias",
)
CLEAN = (
    '{ "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin"; }'
)
FILES = {
    "etc/apt/apt.conf.d/docker-clean": f"DPkg::Post-Invoke {CLEAN};\nAPT::Update::Post-Invoke {CLEAN};\n"
    'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n',
    "etc/apt/apt.conf.d/docker-misc": 'Acquire::Languages "none";\nAcquire::GzipIndexes "true";\n'
    'Apt::AutoRemove::SuggestsImportant "false";\n',
    "etc/dpkg/dpkg.cfg.d/docker-apt-speedup": "force-unsafe-io\n",
    "usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",
}


def root_filesystem(scratch: Path, output: Path) -> None:
    """Writes a tar like debian:trixie-slim."""
    overlay = scratch / "files"
    for name, text in FILES.items():
        path = overlay / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if name.startswith("usr/sbin") else 0o644)
    tidy = (
        'rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/var/cache/debconf/*-old "$1"/var/log/*'
    )
    _run(
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        "--format=tar",
        *(f"--dpkgopt={option}" for option in SLIM),
        f"--customize-hook={tidy}",
        f'--customize-hook=cp -r --preserve=mode {overlay}/. "$1"/',
        SUITE,
        str(output),
        *_sources(),
        env={"TMPDIR": str(scratch)},
    )


def unpack(packages: Iterable[str], scratch: Path) -> Path:
    """Fetches packages of the suite, whatever this machine's own release, and unpacks them into a folder."""
    for name in ("lists/partial", "cache/archives/partial", "state", "debs", "root"):
        (scratch / name).mkdir(parents=True)
    (scratch / "status").touch()
    (scratch / "sources.list").write_text(
        "".join(f"{line}\n" for line in _sources(f"[signed-by={KEYRING}] "))
    )
    apt = [
        "apt-get",
        "-qq",
        f"-oDir::Etc::sourcelist={scratch / 'sources.list'}",
        "-oDir::Etc::sourceparts=-",
        f"-oDir::State={scratch / 'state'}",
        f"-oDir::State::lists={scratch / 'lists'}",
        f"-oDir::State::status={scratch / 'status'}",
        f"-oDir::Cache={scratch / 'cache'}",
        "-oAPT::Sandbox::User=root",
    ]
    _run(*apt, "update")
    _run(*apt, "download", *packages, cwd=scratch / "debs")
    for deb in (scratch / "debs").glob("*.deb"):
        _run("dpkg-deb", "-x", str(deb), str(scratch / "root"))
    return scratch / "root"


def _sources(options: str = "") -> list[str]:
    """The suite's sources, at the mirror that this machine's apt uses."""
    listed = _run("apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)").splitlines()
    mirrors = sorted(
        {uri.rstrip("/") for origin, _, uri in (line.partition(" ") for line in listed) if origin == "Debian"}
    )
    main = [m for m in mirrors if not m.endswith("security")]
    security = [m for m in mirrors if m.endswith("security")]
    if not main:
        raise RuntimeError(
            "no registry has debian:trixie-slim for us, and this machine's apt no Debian mirror for making it"
        )
    sources = [f"deb {options}{main[0]} {SUITE} main", f"deb {options}{main[0]} {SUITE}-updates main"]
    return sources + [f"deb {options}{m} {SUITE}-security main" for m in security[:1]]


def _run(*argv: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    done = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        cwd=cwd,
        env={**os.environ, **(env or {})},
    )
    if done.returncode:
        raise RuntimeError(f"{argv[0]} (exit {done.returncode}): {done.stderr.strip()[-2000:]}")
    return done.stdout
