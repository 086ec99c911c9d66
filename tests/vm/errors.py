"""Errors of virtual machines."""

from __future__ import annotations

from tests.machine import MachineError


class VmError(MachineError):
    """The image cannot be built, or the machine does not boot or answer.

    The message gives the reason.
    """
