"""What this K3s does: its version, and which release brought what."""
