"""The state of a start of K3s, as far as its ports show it."""

from __future__ import annotations

from k3s_rootless.observation import Unknown
from k3s_rootless.ports.facts import Sources

SECONDS = 300.0
"""How long a K3s that cannot be read counts as starting: as long as `up` waits by default."""


def is_starting(sources: Sources, https_port: int, seconds: float | None) -> bool:
    """Return whether K3s has not forwarded its API server's port yet, within the time of a start.

    K3s forwards that port once the API server runs. `seconds` is how long K3s has been
    running, None if systemd does not know.
    """
    if seconds is None or seconds >= SECONDS or not isinstance(sources.services, Unknown):
        return False
    if isinstance(sources.forwards, Unknown):
        return True
    return all(one.parent_port != https_port for one in sources.forwards.value)


def reason(sources: Sources) -> str:
    """Return why the state of the API server's port is not final yet."""
    if isinstance(sources.forwards, Unknown):
        return (
            "K3s is starting: its port API is not available yet, and its Services are not known yet"
        )
    return (
        "K3s is starting: it forwards this port once its API server runs; its Services are not"
        " known yet"
    )
