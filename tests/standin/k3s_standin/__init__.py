"""A K3s stand-in for the tests: it plays `k3s server --rootless` on top of the real rootlesskit and
slirp4netns.

It is a test double and nothing else: no container ever runs under it. What it plays is what a user
of rootless K3s meets from outside: the process tree, the state directory, the journal, the
kubeconfig, the Kubernetes API, the host ports, and each of the ways to die.

The rules of K3s are written down here a second time, on purpose: this package imports nothing of
`k3s_rootless`, so that a rule that is wrong there is not confirmed by the same mistake here.
Sources are cited by K3s's own file names.

Orders for it are read from `~/.k3s-standin.json` (see `orders`).
"""
