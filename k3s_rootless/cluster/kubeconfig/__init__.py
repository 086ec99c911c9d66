"""Kubeconfigs: the one that K3s writes, and the files of the user that it is merged into."""
