"""Judges of ports: what K3s forwards, what is in the way, and what it means."""
