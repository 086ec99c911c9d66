"""What the kernel and the distribution say about this host."""
