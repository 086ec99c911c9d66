"""Clients of systemd over D-Bus: the user manager, the system manager and logind."""
