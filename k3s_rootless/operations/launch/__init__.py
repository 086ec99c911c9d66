"""Start K3s and wait for it: what is in the way, until it is ready, and what it died of."""
