"""The kubeconfig of K3s: show it, merge it into files of the user, and keep the copies current."""
