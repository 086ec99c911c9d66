"""The host's own apt configuration, as far as it tells where Debian's packages come from and how."""

from __future__ import annotations

import subprocess

from tests.vm.errors import VmError

_UNSET = "$(SIGNED_BY)"
_INDEX = f"deb [signed-by={_UNSET}] $(REPO_URI) $(RELEASE) $(COMPONENT)|$(ORIGIN)|$(CODENAME)"
_OPTIONS = ("Acquire::Check-", "Acquire::http::", "Acquire::https::", "Acquire::Retries")


def sources(suite: str) -> str:
    """Return one-line sources of `suite`, its updates included, from Debian itself."""
    found = []
    for line in _run("apt-get", "indextargets", "--format", _INDEX, "Created-By: Packages"):
        source, origin, codename = line.split("|")
        if origin == "Debian" and codename.startswith(suite):
            found.append(source.replace(f"[signed-by={_UNSET}] ", ""))
    if not found:
        raise VmError(f"this host's apt has no sources of Debian {suite}, or no list of them yet (apt-get update)")
    return "\n".join(dict.fromkeys(found)) + "\n"


def options() -> list[str]:
    """Return what the host's apt says about proxies and checks, each as a line of apt configuration."""
    return [line for line in _run("apt-config", "dump") if line.startswith(_OPTIONS)]


def _run(*command: str) -> list[str]:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()
    except (OSError, subprocess.SubprocessError) as error:
        raise VmError(f"cannot read this host's apt configuration: {error}") from error
