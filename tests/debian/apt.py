"""Package sources and options from the apt configuration of the host."""

from __future__ import annotations

import platform
import subprocess
from functools import cache

from tests.machine import MachineError

_UNSET = "$(SIGNED_BY)"
_INDEX = f"deb [signed-by={_UNSET}] $(REPO_URI) $(RELEASE) $(COMPONENT)|$(ORIGIN)|$(CODENAME)"
_OPTIONS = ("Acquire::Check-", "Acquire::http::", "Acquire::https::", "Acquire::Retries")
_PARTS = ("", "-updates", "-security")


def own_release() -> str:
    """Return the name of the host's Debian release, or an empty text if it is not Debian."""
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        return ""
    return system.get("VERSION_CODENAME", "sid") if system["ID"] == "debian" else ""


def sources(release: str) -> str:
    """Return one-line sources of `release` and its updates.

    They are the sources of the host's own release with another name.
    """
    own = own_release()
    found = []
    for line in _indexes():
        source, origin, codename = line.split("|")
        part = codename.removeprefix(own)
        if origin == "Debian" and own and part in _PARTS:
            place, _, component = source.replace(f"[signed-by={_UNSET}] ", "").rsplit(" ", 2)
            found.append(f"{place} {release}{part} {component}")
    if not found:
        raise MachineError(
            "this host's apt has no sources of its own Debian release, or no list of them yet"
            " (apt-get update)"
        )
    return "\n".join(dict.fromkeys(found)) + "\n"


def options() -> list[str]:
    """Return the proxy and verification options of apt on the host, as lines of apt.conf."""
    return [line for line in _run("apt-config", "dump") if line.startswith(_OPTIONS)]


@cache
def _indexes() -> list[str]:
    return _run("apt-get", "indextargets", "--format", _INDEX, "Created-By: Packages")


def _run(*command: str) -> list[str]:
    try:
        return subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=60
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError) as error:
        raise MachineError(f"cannot read this host's apt configuration: {error}") from error
