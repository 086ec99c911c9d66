"""Errors of labs."""

from __future__ import annotations

from tests.machine import MachineError


class LabError(MachineError):
    """The lab cannot boot here, or no such lab exists; the message gives the reason."""
