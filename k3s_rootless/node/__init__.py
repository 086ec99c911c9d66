"""The inside of K3s's namespaces: programs that are run there, and container images."""
