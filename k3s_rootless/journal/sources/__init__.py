"""Readers of the journal and of containerd's log."""
