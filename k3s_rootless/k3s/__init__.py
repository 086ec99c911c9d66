"""What is known of K3s: its version, which release brought what, and its settings."""
