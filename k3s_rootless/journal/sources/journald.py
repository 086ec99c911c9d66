"""The journal of the unit, streamed from journalctl's JSON in constant memory.

journalctl is run rather than libsystemd bound: its Python binding needs a compiler and hides the
same lack of permission. It is asked by `--user-unit` and `_UID`, not by `--user -u`, which opens
only the files of one user and shows nothing where journald keeps none (a volatile journal; systemd
#26742).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from k3s_rootless import command
from k3s_rootless.errors import CommandFailed, RootlessError, UsageError
from k3s_rootless.journal.facts import Entry, Query
from k3s_rootless.paths import UNIT
from k3s_rootless.printable import printable

_FIELDS = (
    "MESSAGE",
    "PRIORITY",
    "_PID",
    "SYSLOG_IDENTIFIER",
    "_SYSTEMD_INVOCATION_ID",
    "USER_INVOCATION_ID",
)
STARTED = ("39f53479d3a045ac8e11786248231fbf",)
RESTARTING = ("5eb03494b6584870a536b337290809b3",)
"""Ids of what the user manager says of a unit (systemd's sd-messages.h): started; a restart is
scheduled.
"""
LONGEST_MESSAGE = 64 * 1024
"""Characters that are kept of a message. journald cuts lines at 48 KiB; what is longer was sent
by its own protocol.
"""
_LONG = 512 * 1024
_MESSAGE = re.compile(rb'"MESSAGE"\s*:\s*(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"|\[([0-9,\s]*)\])')
_WHOLE_ESCAPES = re.compile(rb"(?:\\u[0-9a-fA-F]{4}|\\[^u]|[^\\])*")
_INVOCATION = re.compile(r"[0-9a-f]{32}")
_KEPT_IN = (Path("/var/log/journal"), Path("/run/log/journal"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HINT = (
    "have an administrator keep the journal on disk, where each user can read their own: `sudo"
    " mkdir -p /var/log/journal && sudo systemd-tmpfiles --create --prefix /var/log/journal && sudo"
    ' journalctl --flush`, or let you read all of it: `sudo usermod -aG systemd-journal "$USER"`'
    " (from your next login on)"
)
"""What lets a user read the journal of their own unit."""


def arguments(query: Query, *, unit: str = UNIT, journalctl: str = "journalctl") -> list[str]:
    """Build the command line; it asks for nothing that systemd before 247 does not know.

    Raises UsageError.
    """
    of_unit = [f"--user-unit={unit}"]
    if query.unowned is not None:
        of_unit = [
            f"--since=@{query.unowned.since.timestamp():.6f}",
            f"--until=@{query.unowned.until.timestamp():.6f}",
        ]
    args = [journalctl, "--quiet", "--no-pager", *of_unit, "--output=json", "--all"]
    args.append(f"--output-fields={','.join(_FIELDS)}")
    if query.lines is not None:
        args.append(f"--lines={query.lines}")
    values = {"since": query.since, "grep": query.grep, "after-cursor": query.after}
    args += [f"--{name}={value}" for name, value in values.items() if value is not None]
    switches = {"boot": query.boot, "follow": query.follow, "no-tail": query.whole}
    args += [f"--{name}" for name, on in switches.items() if on]
    return args + _matches(query)


def plain(query: Query, *, unit: str = UNIT, journalctl: str = "journalctl") -> list[str]:
    """Build the command line that asks the same of journalctl, in its own form.

    Raises UsageError.
    """
    ours = ("--output", "--quiet", "--all")
    return [
        word
        for word in arguments(query, unit=unit, journalctl=journalctl)
        if not word.startswith(ours)
    ]


def _matches(query: Query) -> list[str]:
    # Matches are ANDed, `+` ORs what stands left and right of it, and the options of above are
    # ANDed with the whole (journalctl(1); seen on systemd 257). So each side names the user.
    user = f"_UID={query.uid}"
    if query.invocation is None:
        return [user, *(f"MESSAGE_ID={one}" for one in query.ids)]
    if not _INVOCATION.fullmatch(query.invocation):
        raise UsageError(
            f"cannot read the journal of `{query.invocation}`: an invocation id has 32 hex digits"
        )
    # K3s's own lines carry the first, what the user manager says about the unit the second.
    own = [
        user,
        f"_SYSTEMD_INVOCATION_ID={query.invocation}",
        "+",
        user,
        f"USER_INVOCATION_ID={query.invocation}",
    ]
    if query.unowned is None:
        return own
    return [*own, "+", user, f"SYSLOG_IDENTIFIER={query.unowned.identifier}", "_TRANSPORT=stdout"]


class Reading:
    """The entries of one query as they come, oldest first; `skipped` counts lines that were no
    entries.

    Use it in a `with` statement, or close it: closing ends journalctl, which else follows for ever.
    """

    def __init__(self, args: list[str], kept_in: Sequence[Path]) -> None:
        self.skipped = 0
        self._kept_in = kept_in
        self._lines = command.stream(args)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Entry]:
        line = None
        try:
            for line in self._lines:
                entry = parse(line)
                if entry is None:
                    self.skipped += 1
                else:
                    yield entry
        except CommandFailed as error:
            raise _explained(error) from error
        if line is None and not any(_holds_something(place) for place in self._kept_in):
            raise RootlessError("cannot read the journal: this host keeps none", hint=HINT)

    def close(self) -> None:
        """End journalctl; doing so twice does nothing."""
        close = getattr(self._lines, "close", None)
        if close is not None:
            close()


def read(
    query: Query,
    *,
    unit: str = UNIT,
    journalctl: str = "journalctl",
    kept_in: Sequence[Path] = _KEPT_IN,
) -> Reading:
    """Ask the journal; nothing runs before the first entry is asked for.

    No entries is an answer: nothing was logged. While iterating, raises RootlessError with a hint
    where this user may not read the journal or where none is kept, UsageError for a time or pattern
    that is none, and CommandFailed for all else that journalctl complains of. `kept_in` is where
    journald keeps its files.
    """
    return Reading(arguments(query, unit=unit, journalctl=journalctl), kept_in)


def collect(query: Query, *, unit: str = UNIT, journalctl: str = "journalctl") -> tuple[Entry, ...]:
    """Read all entries of a query that is known to be small (`lines`); see `read`."""
    with closing(read(query, unit=unit, journalctl=journalctl)) as reading:
        return tuple(reading)


def invocations(uid: int, *, unit: str = UNIT, journalctl: str = "journalctl") -> tuple[str, ...]:
    """Return the ids of the last starts, oldest first, by what the user manager said of them; see
    `read` for the errors.
    """
    told = collect(Query(uid, ids=STARTED, lines=20), unit=unit, journalctl=journalctl)
    return tuple(dict.fromkeys(entry.invocation for entry in told if entry.invocation))


def hidden(kept_in: Sequence[Path] = _KEPT_IN) -> bool:
    """Return whether journald keeps something that this user may not read, as it always does for
    whoever is in no group of it.
    """
    return any(
        not os.access(file, os.R_OK) for place in kept_in for file in place.glob("*/*.journal")
    )


def files(kept_in: Sequence[Path] = _KEPT_IN) -> tuple[Path, ...]:
    """Return a name in each directory where journald keeps its files, which is what a watch for
    changes needs.
    """
    found: list[Path] = []
    for place in kept_in:
        try:
            found += [one / "system.journal" for one in place.iterdir()]
        except OSError:
            continue
    return tuple(found)


def parse(line: bytes) -> Entry | None:
    """Read one line of `journalctl -o json`; None when it is none.

    A message is cut at LONGEST_MESSAGE characters.

    Values are strings, lists of byte values where something does not print, null where too long
    (without `--all`), and lists of all these where a field was given more than once (systemd.io,
    "Journal JSON Format").
    """
    try:
        if len(line) >= _LONG:
            line = _MESSAGE.sub(_cut, line, count=1)
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    return of_fields(fields)


def of_fields(fields: Mapping[str, Any]) -> Entry:
    """Read the fields of one entry, in the shapes that `parse` tells of."""
    # The manager's lines have an invocation of their own, that of user@UID.service: what they are
    # about comes first.
    invocation = _word(fields.get("USER_INVOCATION_ID")) or _word(
        fields.get("_SYSTEMD_INVOCATION_ID")
    )
    return Entry(
        time=_time(fields.get("__REALTIME_TIMESTAMP")),
        message=(_text(fields.get("MESSAGE")) or "")[:LONGEST_MESSAGE],
        priority=_number(fields.get("PRIORITY")),
        pid=_number(fields.get("_PID")),
        identifier=_word(fields.get("SYSLOG_IDENTIFIER")),
        invocation=invocation,
        cursor=_word(fields.get("__CURSOR")),
        unit=_word(fields.get("USER_UNIT"))
        or _word(fields.get("_SYSTEMD_USER_UNIT"))
        or _word(fields.get("_SYSTEMD_UNIT")),
    )


def _cut(found: re.Match[bytes]) -> bytes:
    # A message of megabytes, one number a byte where it does not print, is cut before it becomes
    # objects.
    if found[1] is not None:
        whole = _WHOLE_ESCAPES.match(found[1][:LONGEST_MESSAGE])
        return b'"MESSAGE":"' + (whole[0] if whole else b"") + b'"'
    return b'"MESSAGE":[' + found[2][: 4 * LONGEST_MESSAGE].rpartition(b",")[0] + b"]"


def _text(value: Any) -> str | None:  # noqa: ANN401 (other people's JSON)
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return None
    if all(isinstance(one, int) and 0 <= one <= 255 for one in value):
        return bytes(value).decode("utf-8", "replace")
    texts = map(_text, value)
    return "\n".join(text for text in texts if text is not None)


def _word(value: Any) -> str | None:  # noqa: ANN401 (other people's JSON)
    # Every process names itself (sd_journal_send(3), logger -t), and these fields are shown as they
    # are.
    text = _text(value)
    if text is None:
        return None
    return printable(text)


def _number(value: Any) -> int | None:  # noqa: ANN401 (other people's JSON)
    text = _text(value)
    if text is None or not text.isascii() or not text.isdecimal() or len(text) >= 20:
        return None
    return int(text)


def _time(value: Any) -> datetime | None:  # noqa: ANN401 (other people's JSON)
    microseconds = _number(value)
    if microseconds is None:
        return None
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return None


def _explained(error: CommandFailed) -> RootlessError:
    if "insufficient permissions" in error.message:
        return RootlessError("cannot read the journal: this user may not", hint=HINT)
    why = error.message.rpartition("` failed: ")[2]
    if why.startswith(("Failed to parse timestamp", "Bad pattern")):
        return UsageError(f"cannot read the journal: {why[:1].lower()}{why[1:]}")
    return error


def _holds_something(place: Path) -> bool:
    # Where no journal is kept, journalctl finds nothing and says nothing (systemd 257), as if
    # nothing had been logged.
    try:
        return any(place.iterdir())
    except FileNotFoundError:
        return False
    except OSError:
        return True
