"""Drop-ins of the unit that k3s-rootless writes."""
