"""K3s's registries.yaml, and requests to the registries in it from inside K3s's namespaces."""
