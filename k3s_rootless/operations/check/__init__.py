"""Read the host and judge it: what `check`, `up`, `install` and `diagnose` need."""
