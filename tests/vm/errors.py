"""Why a virtual machine cannot be."""

from __future__ import annotations

from tests.machine import MachineError


class VmError(MachineError):
    """The image cannot be built, or the machine cannot boot or answer; the message says why."""
