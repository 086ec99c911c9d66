"""K3s's registries.yaml: show it, check it with requests to the registries, and change it."""
