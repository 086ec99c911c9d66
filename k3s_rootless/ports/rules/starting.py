"""The check whether K3s is still starting, as far as its ports show that."""

from __future__ import annotations

from k3s_rootless.observation import Unknown
from k3s_rootless.ports.facts import Sources

SECONDS = 300.0
"""How long K3s counts as starting if it cannot be read; `up` waits as long by default."""


def is_starting(sources: Sources, https_port: int, seconds: float | None) -> bool:
    """Return whether K3s is starting: its API server's port is not forwarded yet.

    K3s forwards that port once the API server runs. `seconds` is how long K3s has been running,
    None if systemd does not know. From `SECONDS` on, K3s no longer counts as starting.
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
            "K3s is starting; its port API is not available yet, and its Services are not known yet"
        )
    return (
        "K3s is starting; it forwards this port when its API server is running, and its Services"
        " are not known yet"
    )
