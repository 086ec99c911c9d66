"""The configuration of K3s's containerd: its files, which of them count, and their validation."""
