"""Detection of hardware virtualization on this host.

An existing device that can be opened does not prove that it works.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.vm.image import Image
from tests.vm.place import CACHE

_DEVICE = Path("/dev/kvm")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_VERDICT = CACHE / "kvm"
_TIME_LIMIT = 6


def accelerator(image: Image) -> tuple[str, str]:
    """Return the accelerator and processor that qemu should use.

    This is hardware virtualization if it really works, else emulation.
    """
    if os.access(_DEVICE, os.R_OK | os.W_OK) and _works(image):
        return "kvm", "host"
    return "tcg,thread=multi", "max"


def _works(image: Image) -> bool:
    # The result is valid until the host boots again.
    key = f"{_BOOT_ID.read_text().strip()} {image.path.name} "
    if _VERDICT.exists() and (verdict := _VERDICT.read_text()).startswith(key):
        return verdict.endswith("yes")
    works = _kernel_runs(image)
    _VERDICT.write_text(f"{key}{'yes' if works else 'no'}")
    return works


def _kernel_runs(image: Image) -> bool:
    # Without a disk the kernel panics, reboots, and qemu ends. If KVM does not work, qemu would
    # wait forever.
    command = (
        *(
            "setpriv",
            "--pdeathsig",
            "KILL",
            "qemu-system-x86_64",
            "-accel",
            "kvm",
            "-cpu",
            "host",
            "-m",
            "512",
        ),
        *(
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
            "-kernel",
            str(image.kernel),
        ),
        *("-append", "panic=-1"),
    )
    try:
        return (
            subprocess.run(
                command, check=False, capture_output=True, timeout=_TIME_LIMIT
            ).returncode
            == 0
        )
    except subprocess.TimeoutExpired:
        return False
