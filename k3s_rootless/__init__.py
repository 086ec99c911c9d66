"""Run rootless K3s as a service of the user's own systemd."""

__version__ = "0.1.0"
