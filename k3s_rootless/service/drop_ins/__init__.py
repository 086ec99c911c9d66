"""The drop-ins of the unit that k3s-rootless writes."""
