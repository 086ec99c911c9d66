"""Why a virtual machine cannot be."""


class VmError(Exception):
    """The image cannot be built, or the machine cannot boot or answer; the message says why."""
