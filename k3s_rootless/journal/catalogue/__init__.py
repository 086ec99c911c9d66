r"""The ways in which rootless K3s fails, known by what it, rootlesskit, slirp4netns, Kubernetes and
systemd print.

Read from public issues and from their sources (K3s v1.21 to v1.36). To add one, three edits: its
entry in the module of its subject, its lines in tests/data/fatal-lines.json, and `python -m
tests.journal.failures_page`, which renews docs/reference/failures.md; tests hold the three
together. Where `check` asks about the same trouble, give the id of that check.

Signs are tried in the order of the modules below and of the entries in them; the first that matches
names the failure. So the narrow ones stand before the broad ones.
"""

from __future__ import annotations

from k3s_rootless.journal.catalogue import (
    cgroups,
    configuration,
    identity,
    network,
    ports,
    runtime,
    session,
    storage,
)
from k3s_rootless.journal.catalogue.entry import Failure, Sign, Weight

CATALOGUE: tuple[Failure, ...] = (
    *session.FAILURES,
    *configuration.FAILURES,
    *identity.FAILURES,
    *cgroups.FAILURES,
    *ports.FAILURES,
    *network.FAILURES,
    *storage.FAILURES,
    *runtime.FAILURES,
)

__all__ = ["CATALOGUE", "Failure", "Sign", "Weight"]
