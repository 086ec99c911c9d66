"""rootlesskit, which creates K3s's namespaces: its API socket and its state directory."""
