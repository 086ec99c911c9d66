"""Ports: the forwards of rootlesskit, the Services of the cluster, and the sockets of the host."""
