"""K3s stand-in for tests: `k3s server --rootless` on the real rootlesskit and slirp4netns.

The stand-in is a test double only: no container ever runs under it. It reproduces what a user of
rootless K3s sees from outside: the process tree, the state directory, the journal, the kubeconfig,
the Kubernetes API, the host ports, and each kind of failure.

The rules of K3s are written here a second time on purpose: this package imports nothing from
`k3s_rootless`, so that the same mistake cannot be in both. Comments cite sources by the file names
of K3s.

The stand-in reads orders from `~/.k3s-standin.json` (see `orders`).
"""
