"""Readers of the host: they see, and judge nothing."""
