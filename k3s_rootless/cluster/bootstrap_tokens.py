"""The bootstrap tokens of a cluster, which are Secrets of a type of their own.

`k3s token list` prints JSON without the tokens (K3s pkg/kubeadm/types.go, v1.24 to v1.36), so the
API server is queried instead.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from k3s_rootless.cluster.pods import items
from k3s_rootless.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from k3s_rootless.rest import Peer

_PATH = (
    "/api/v1/namespaces/kube-system/secrets?fieldSelector=type%3Dbootstrap.kubernetes.io%2Ftoken"
)
_USAGE = "usage-bootstrap-"


@dataclass(frozen=True, slots=True)
class BootstrapToken:
    """One bootstrap token. `identifier` is its public part, `text` the whole token, a secret.

    `expires` is a time as in Kubernetes's API, empty for never.
    """

    identifier: str
    text: str = field(repr=False)
    description: str = ""
    expires: str = ""
    usages: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


def read(peer: Peer) -> tuple[BootstrapToken, ...]:
    """Return the bootstrap tokens, sorted by identifier. Raises PeerError."""
    found = [_token(one) for one in items(peer, _PATH, "SecretList")]
    return tuple(sorted(found, key=lambda one: one.identifier))


def _token(item: Any) -> BootstrapToken:  # noqa: ANN401 (parsed JSON)
    try:
        data = {
            key: base64.b64decode(value, validate=True).decode()
            for key, value in item["data"].items()
        }
        return BootstrapToken(
            identifier=data["token-id"],
            text=f"{data['token-id']}.{data['token-secret']}",
            description=data.get("description", ""),
            expires=data.get("expiration", ""),
            usages=tuple(sorted(_usages(data))),
            groups=tuple(filter(None, data.get("auth-extra-groups", "").split(","))),
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        raise PeerError("the API server did not return a valid bootstrap token") from None


def _usages(data: Mapping[str, str]) -> Iterator[str]:
    for key, value in data.items():
        if key.startswith(_USAGE) and value == "true":
            yield key.removeprefix(_USAGE)
