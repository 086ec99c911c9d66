"""The certificates of K3s: list them, and issue new ones."""
