"""Why a lab cannot be."""


class LabError(Exception):
    """The lab cannot boot here, or there is no such lab; the message says why."""
