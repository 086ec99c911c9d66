"""Checks of whether this user can run K3s on this host, and of what is missing."""
