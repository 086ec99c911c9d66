"""The configuration of K3s's containerd: show it, check it, and change it with an editor."""
