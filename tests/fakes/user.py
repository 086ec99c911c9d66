"""Context in which a test that runs as root calls functions of the tool as an ordinary user."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

USER = 65534 if os.getuid() == 0 else os.getuid()
_PR_SET_SECUREBITS = 28
_SECBIT_NO_SETUID_FIXUP = 4


@contextmanager
def ordinary_user() -> Iterator[int]:
    """Run this process as USER until the end of the block, and keep its capabilities.

    The tool refuses to manage K3s as root, and both ends of a bus compare user ids. Python must
    still be able to load modules from a checkout below a directory that only root can read, so the
    capabilities are kept (capabilities(7), SECBIT_NO_SETUID_FIXUP).
    """
    if os.getuid() != 0:
        yield USER
        return
    _set_securebits(_SECBIT_NO_SETUID_FIXUP)
    os.setresuid(USER, USER, 0)
    try:
        yield USER
    finally:
        os.setresuid(0, 0, 0)
        _set_securebits(0)


def _set_securebits(bits: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECUREBITS, bits, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECUREBITS)")
