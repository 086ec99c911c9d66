"""Send a change of the encryption to K3s, and wait until K3s has encrypted all Secrets again."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from k3s_rootless import background
from k3s_rootless.cluster import supervisor
from k3s_rootless.errors import NotReady, PeerError, RootlessError
from k3s_rootless.operations.encryption import reading
from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from k3s_rootless.background import BackgroundQuery
    from k3s_rootless.k3s.encryption import State
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.encryption.reading import Reading
    from k3s_rootless.rest import TlsPeer

_PAUSE = 0.5
_SECONDS = 10.0
_SKEW = timedelta(seconds=1)
"""The times of events have whole seconds."""
_EVENTS = "/api/v1/namespaces/default/events?fieldSelector=reason%3D"
_PROGRESS, _FAILED = "SecretsProgress", "SecretsUpdateError"
_COMPLETE = "SecretsUpdateComplete"
_COUNT = re.compile(r"\d{1,9}")
CONTINUE = "K3s continues; to wait for it again, repeat the command"


@dataclass
class Progress:
    """What K3s's events show since `since`; `seconds` limits the time without progress."""

    context: Context
    api: TlsPeer
    seconds: float
    since: datetime = field(default_factory=lambda: datetime.now(UTC) - _SKEW)
    count: int = 0

    def __post_init__(self) -> None:
        self._last = time.monotonic()

    def look(self) -> None:
        """Report progress. Raises RootlessError if K3s has failed, NotReady without progress."""
        for message in _messages(self.api, _FAILED, self.since):
            raise RootlessError(
                f"K3s cannot encrypt the Secrets again: {message}",
                hint="repeat the command, which continues",
            )
        shown = [*self._counts(_PROGRESS), *self._counts(_COMPLETE)]
        if shown and max(shown) > self.count:
            self.count = max(shown)
            self.context.notice(f"K3s has encrypted {self.count} Secrets again")
            self._last = time.monotonic()
        if time.monotonic() - self._last > self.seconds:
            raise NotReady(
                f"K3s has not encrypted a Secret again for {self.seconds:.0f} s", hint=CONTINUE
            )

    def _counts(self, reason: str) -> Iterator[int]:
        for message in _messages(self.api, reason, self.since):
            if found := _COUNT.search(message):
                yield int(found[0])


def request(here: Reading, change: Mapping[str, Any], action: str, progress: Progress) -> None:
    """Send a change, and wait for K3s's answer; later releases answer when they have finished.

    Raises RootlessError if K3s refuses the change, NotReady without an answer and progress.
    """
    sent = background.begin(
        lambda: supervisor.change_encryption(here.supervisor, change, timeout=progress.seconds)
    )
    try:
        while not _answered(sent):
            progress.look()
    except PeerError as error:
        if error.status is None and reading.state(here.supervisor).stage.works:
            return  # K3s continues without the client (its pkg/server/handlers, v1.28 to v1.36)
        raise reading.failed(action, error) from error


def finished(here: Reading, progress: Progress) -> State:
    """Wait until K3s has encrypted all Secrets again, and return the state.

    A server that does not answer for a while is no failure. Raises NotReady without progress,
    RootlessError if K3s has failed, or does not accept its token any more.
    """
    while True:
        found = _state(here)
        progress.look()
        if found is not None and not found.stage.works:
            return found
        time.sleep(_PAUSE)


def _state(here: Reading) -> State | None:
    try:
        return reading.state(here.supervisor)
    except PeerError as error:
        if error.hint == supervisor.RESTART:
            raise
        return None


def _answered(sent: BackgroundQuery[None]) -> bool:
    try:
        sent.result(_PAUSE)
    except TimeoutError:
        return False
    return True


def _messages(api: TlsPeer, reason: str, since: datetime) -> Iterator[str]:
    """Yield the messages of K3s's events of this kind; none if they cannot be read."""
    try:
        answer = api.get(f"{_EVENTS}{reason}", timeout=_SECONDS)
        items = json.loads(answer.body)["items"] if answer.status == 200 else []
        for one in items:
            at = one.get("lastTimestamp") or one.get("eventTime") or ""
            if datetime.fromisoformat(at) >= since:
                yield printable(str(one.get("message") or "no reason given"))
    except (PeerError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return
