"""Container images of K3s: archives, what containerd has, and what can be removed."""
