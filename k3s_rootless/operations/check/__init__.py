"""Read and check the host, for `check`, `up`, `install` and `diagnose`."""
