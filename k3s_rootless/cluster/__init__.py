"""The cluster: its kubeconfig, and whether its API server and its node are ready."""
