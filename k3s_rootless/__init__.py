"""Rootless K3s under the user's own systemd."""

__version__ = "0.1.0"
