"""Checks of what rootless K3s needs from a host: each check is a pure function of facts."""
