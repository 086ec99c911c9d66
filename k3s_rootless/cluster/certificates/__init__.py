"""The certificates of K3s in its data directory, and their ends."""
