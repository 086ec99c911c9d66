"""Programs that are run with K3s: its sub-commands, and a shell inside its namespaces."""
