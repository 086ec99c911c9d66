"""The systemd user unit of K3s, and its life."""
