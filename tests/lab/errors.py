"""Why a lab cannot be."""

from __future__ import annotations

from tests.machine import MachineError


class LabError(MachineError):
    """The lab cannot boot here, or there is no such lab; the message says why."""
