"""The rules for ports: what K3s forwards, which conflicts exist, and what the result means."""
