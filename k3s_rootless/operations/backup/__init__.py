"""Back up a cluster, list and verify backups, and restore one."""
