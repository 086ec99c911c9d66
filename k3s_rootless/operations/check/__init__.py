"""Read the host and judge it: what `check`, `up` and `diagnose` need."""
