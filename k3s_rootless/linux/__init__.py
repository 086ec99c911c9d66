"""Facts about this host, read from the kernel and the distribution."""
