"""The releases of K3s on this host: get, list, use, prune."""
