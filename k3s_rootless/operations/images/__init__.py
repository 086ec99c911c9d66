"""Container images of K3s: list, import, preload, prune."""
