"""Find why a start failed, from its journal and the state of the host."""
