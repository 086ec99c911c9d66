"""The probes of what K3s's settings meet: the datastore, the place of the kubeconfig, K3s's own
kubeconfigs.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context


def of(context: Context, settings: Settings) -> Mapping[str, Callable[[], Any]]:
    """Return the probes, by the names of their facts."""
    from k3s_rootless.k3s import issued
    from k3s_rootless.preflight.probes import configuration, datastore

    token = settings.value("token-file")
    token = token if token.text else settings.value("token")
    return {
        "token": partial(configuration.token, settings.data, token, settings.directory),
        "target": partial(configuration.target, settings.kubeconfig, context.uid, os.getgid()),
        "kubeconfigs": partial(issued.read, settings.data, context.uid),
        "cluster": partial(datastore.cluster, settings.data),
    }
