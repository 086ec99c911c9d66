"""Upgrade K3s to another release, and roll back to the one before."""
