"""Backups of a cluster: what belongs to one, the archive, and its restore."""
