"""The environment of K3s: its variables, and the order in which their sources apply."""
