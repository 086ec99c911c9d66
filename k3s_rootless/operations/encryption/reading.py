"""Read the state of the encryption of Secrets from a running K3s and from its files."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from k3s_rootless.cluster import access, supervisor
from k3s_rootless.errors import NotRunning, PeerError, RootlessError
from k3s_rootless.k3s import encryption, layout
from k3s_rootless.node import subcommands
from k3s_rootless.operations import installation, server_settings
from k3s_rootless.operations.token import files
from k3s_rootless.paths import UNIT
from k3s_rootless.service.observe import files as unit_files

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.k3s.encryption import State
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.context import Context
    from k3s_rootless.rest import TlsPeer
    from k3s_rootless.service.facts import UnitState

FLAG = "secrets-encryption"
_WORDS = ("secrets-encrypt", "status")
_SECONDS = 15.0
_PAUSE = 0.5
_LARGEST = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reading:
    """The state that a running K3s reports, and how to reach it.

    `supervisor` takes changes, `api` has the events of K3s. `flag` is true if the next start of K3s
    has the flag for the encryption. `started` is the time of the present start.
    """

    state: State
    data: Path
    release: Version | None
    flag: bool
    started: datetime | None
    supervisor: TlsPeer
    api: TlsPeer

    @property
    def restarted(self) -> bool:
        """True if K3s was started after its files of the encryption were written."""
        written = _written(self.data)
        return written is None or self.started is None or self.started > written

    @property
    def consistent(self) -> bool:
        """True if K3s's files of the encryption fit together, or cannot be read."""
        try:
            configuration = (self.data / layout.ENCRYPTION).read_bytes()[:_LARGEST]
            kept = (self.data / layout.ENCRYPTION_STATE).read_text("ascii")[:_LARGEST]
        except (OSError, ValueError):
            return True
        return kept.strip().rpartition("-")[2] == hashlib.sha256(configuration).hexdigest()

    @property
    def has_rotate_keys(self) -> bool:
        """True if new keys need no restart with this release."""
        return self.release is None or encryption.ROTATE_KEYS.holds(self.release)


def read(context: Context, *, patience: float = 0.0) -> Reading:
    """Return the state of the encryption; a K3s that is just starting has `patience` seconds.

    Raises NotRunning if K3s does not run, RootlessError.
    """
    with context.manager() as manager:
        unit = manager.unit(UNIT)
        if not unit.installed:
            raise installation.absence(unit)
        _require_running(unit)
        now = server_settings.of(context, unit, manager.environment)
        later = server_settings.of_next_start(context, unit, manager.environment)
    release = unit_files.release_of(unit.fragment)
    subcommands.require(subcommands.find(_WORDS), _WORDS, release)
    text = files.server(now.data, context.uid)
    password = files.password(text, now.data / layout.SERVER_TOKEN)
    peer = supervisor.peer(now.data, now.https_port, password, uid=context.uid)
    return Reading(
        state=_state(peer, patience),
        data=now.data,
        release=release,
        flag=later.switch(FLAG),
        started=unit.started,
        supervisor=peer,
        api=access.by_data_directory(now.data, now.https_port, uid=context.uid),
    )


def state(peer: TlsPeer) -> State:
    """Return the state that K3s reports. Raises PeerError."""
    answer = supervisor.encryption(peer, timeout=_SECONDS)
    try:
        return encryption.read(answer)
    except ValueError as error:
        raise PeerError(str(error)) from error


def failed(action: str, error: RootlessError) -> RootlessError:
    """Return the error of an action, with a hint to the reason in K3s's log.

    K3s answers with a number only, and logs the reason with this number (its pkg/util/apierrors).
    """
    hint = error.hint
    _, found, number = error.message.partition("error ID ")
    if found:
        hint = f"see its reason with: k3s-rootless logs --grep 'error ID {number.split()[0]}'"
    return RootlessError(f"cannot {action}: {error.message}", hint=hint)


def _state(peer: TlsPeer, patience: float) -> State:
    """Query the state; after a start, K3s answers with errors until its node is known."""
    end = time.monotonic() + patience
    while True:
        try:
            return state(peer)
        except PeerError as error:
            if time.monotonic() >= end:
                raise failed("read the state of the encryption", error) from error
        time.sleep(_PAUSE)


def _written(data: Path) -> datetime | None:
    """Return when K3s's files of the encryption were last written; None if there are none."""
    times = []
    for name in (layout.ENCRYPTION, layout.ENCRYPTION_STATE):
        try:
            times.append((data / name).stat().st_mtime)
        except OSError:
            continue
    if not times:
        return None
    return datetime.fromtimestamp(max(times), UTC)


def _require_running(unit: UnitState) -> None:
    if not unit.running:
        raise NotRunning(
            "cannot read the state of the encryption: K3s is not running",
            hint="start it with: k3s-rootless up",
        )
