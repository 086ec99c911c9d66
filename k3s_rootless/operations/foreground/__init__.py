"""K3s in the foreground, in a terminal."""
