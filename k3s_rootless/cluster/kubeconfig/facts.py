"""The entries of a kubeconfig that lead to our cluster, and the record of their copies."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

NAME = "k3s-rootless"
"""The default name of cluster, user and context.

K3s's own name is `default` for all three, which collides with every other K3s.
"""


@dataclass(frozen=True, slots=True)
class Entries:
    """A cluster, a user and a context of one name; certificates and key are base64 of PEM."""

    name: str
    server: str
    authority: str
    certificate: str
    key: str = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the certificates and the key."""
        return fingerprint(self.authority, self.certificate, self.key)


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of our entries in a file of the user, as it was last written there.

    `file` is the absolute path as it was named. `fingerprint` is empty while it is not known
    whether the copy was written.
    """

    file: Path
    name: str
    server: str
    fingerprint: str


def fingerprint(authority: str, certificate: str, key: str) -> str:
    """Return the SHA-256 of certificates and key, each in base64."""
    # Imported here: loading takes 3 ms, and most commands only print the entries.
    import hashlib

    return hashlib.sha256(f"{authority}\n{certificate}\n{key}".encode()).hexdigest()
