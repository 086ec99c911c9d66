"""rootlesskit, which gives K3s its namespaces: its API socket and its state directory."""
