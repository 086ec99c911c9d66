"""The tokens of K3s: shown, rotated, and bootstrap tokens created and deleted."""
