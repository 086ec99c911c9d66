"""Start K3s: report conflicts, wait until K3s is ready, and find the cause of a failure."""
