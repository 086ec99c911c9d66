"""The probes of what K3s's settings meet: the datastore, the place of the kubeconfig, K3s's own
kubeconfigs.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from k3s_rootless.cli.session import Session
    from k3s_rootless.k3s.settings import Settings


def of(session: Session, settings: Settings) -> Mapping[str, Callable[[], Any]]:
    """Return the probes, by the names of their facts."""
    from k3s_rootless.k3s import issued
    from k3s_rootless.preflight.probes import configuration, datastore

    token = settings.value("token-file")
    token = token if token.text else settings.value("token")
    return {
        "token": partial(configuration.token, settings.data, token, settings.directory),
        "target": partial(configuration.target, settings.kubeconfig, session.uid, os.getgid()),
        "kubeconfigs": partial(issued.read, settings.data, session.uid),
        "cluster": partial(datastore.cluster, settings.data),
    }
