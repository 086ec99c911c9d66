"""Whether K3s is ready: the phases of a start, and how each is seen."""
