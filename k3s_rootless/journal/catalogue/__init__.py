r"""The known failures of rootless K3s, recognised by the log lines of its components.

These components are K3s, rootlesskit, slirp4netns, Kubernetes and systemd. The lines come from
public issues and from the sources (K3s v1.21 to v1.36).

To add a failure, make three edits: its entry in the module of its subject, its lines in
tests/data/fatal-lines.json, and `python -m tests.journal.failures_page`, which renews
docs/reference/failures.md. Tests keep the three consistent. If a check of `check` covers the same
problem, put its id into the entry.

Signs are tried in the order of the modules below and of the entries in them; the first match names
the failure. So specific signs must come before general ones.
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
    snapshotter,
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
    *snapshotter.FAILURES,
    *storage.FAILURES,
    *runtime.FAILURES,
)

__all__ = ["CATALOGUE", "Failure", "Sign", "Weight"]
