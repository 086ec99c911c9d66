"""The journal of the unit, streamed from the JSON of journalctl in constant memory.

This module runs journalctl instead of binding libsystemd: the Python binding needs a compiler, and
hides missing permissions just the same. The query uses `--user-unit` and `_UID`, not `--user -u`.
The latter opens only the files of one user, and shows nothing if journald keeps no such files (a
volatile journal; systemd #26742).
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
    "USER_UNIT",
)
STARTED = ("39f53479d3a045ac8e11786248231fbf",)
RESTARTING = ("5eb03494b6584870a536b337290809b3",)
"""Message ids of the user manager about a unit (systemd's sd-messages.h).

STARTED: the unit was started. RESTARTING: a restart is scheduled.
"""
LONGEST_MESSAGE = 64 * 1024
"""The number of characters of a message that are kept.

journald cuts lines at 48 KiB; longer messages were sent by its own protocol.
"""
_LONG = 512 * 1024
_MESSAGE = re.compile(rb'"MESSAGE"\s*:\s*(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"|\[([0-9,\s]*)\])')
_WHOLE_ESCAPES = re.compile(rb"(?:\\u[0-9a-fA-F]{4}|\\[^u]|[^\\])*")
_INVOCATION = re.compile(r"[0-9a-f]{32}")
_KEPT_IN = (Path("/var/log/journal"), Path("/run/log/journal"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HINT = (
    "ask an administrator to store the journal on disk, where each user can read their own"
    " entries: `sudo mkdir -p /var/log/journal && sudo systemd-tmpfiles --create --prefix"
    " /var/log/journal && sudo journalctl --flush`, or to let you read the whole journal: `sudo"
    ' usermod -aG systemd-journal "$USER"` (takes effect at your next login)'
)
"""How a user gets access to the journal of their own unit."""


def arguments(query: Query, *, unit: str = UNIT, journalctl: str = "journalctl") -> list[str]:
    """Build the command line; it uses no option that systemd before 247 does not know.

    Raises UsageError.
    """
    of_unit = [f"--user-unit={unit}"]
    if query.invocation is not None:
        # The invocation ID names one start of one unit, that of `run` included.
        of_unit = []
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
    """Build the command line for the same query in the default output format of journalctl.

    Raises UsageError.
    """
    ours = ("--output", "--quiet", "--all")
    return [
        word
        for word in arguments(query, unit=unit, journalctl=journalctl)
        if not word.startswith(ours)
    ]


def _matches(query: Query) -> list[str]:
    # Matches are ANDed, and `+` ORs the matches to its left and right. The options above are ANDed
    # with the whole (journalctl(1); seen on systemd 257). So each side names the user.
    user = f"_UID={query.uid}"
    if query.invocation is None:
        return [user, *(f"MESSAGE_ID={one}" for one in query.ids)]
    if not _INVOCATION.fullmatch(query.invocation):
        raise UsageError(
            f"cannot read the journal of `{query.invocation}`: an invocation id has 32"
            " hexadecimal digits"
        )
    # K3s's own lines carry the first field, lines of the user manager about the unit the second.
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
    """The entries of one query, oldest first; `skipped` counts the lines that are no entries.

    Use this class in a `with` statement, or close it. Closing ends journalctl, which otherwise
    follows the journal for ever.
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
        if line is None and not any(_is_used(place) for place in self._kept_in):
            raise RootlessError("cannot read the journal: this host does not store one", hint=HINT)

    def close(self) -> None:
        """End journalctl; a second call does nothing."""
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
    """Query the journal; journalctl starts when the first entry is requested.

    No entries is a valid result: nothing was logged. `kept_in` are the directories where journald
    keeps its files.

    While iterating, raises:

    - RootlessError with a hint, if this user is not allowed to read the journal, or if there is
      none,
    - UsageError for an invalid time or pattern,
    - CommandFailed for all other errors of journalctl.
    """
    return Reading(arguments(query, unit=unit, journalctl=journalctl), kept_in)


def collect(query: Query, *, unit: str = UNIT, journalctl: str = "journalctl") -> tuple[Entry, ...]:
    """Read all entries of a query that is known to be small (`lines`); see `read`."""
    with closing(read(query, unit=unit, journalctl=journalctl)) as reading:
        return tuple(reading)


def invocations(uid: int, *, unit: str = UNIT, journalctl: str = "journalctl") -> tuple[str, ...]:
    """Return the ids of the last starts, oldest first, as the user manager logged them.

    See `read` for the errors.
    """
    entries = collect(Query(uid, ids=STARTED, lines=20), unit=unit, journalctl=journalctl)
    return tuple(dict.fromkeys(entry.invocation for entry in entries if entry.invocation))


def hidden(kept_in: Sequence[Path] = _KEPT_IN) -> bool:
    """Return whether journald keeps files that this user is not allowed to read.

    This is always true for a user who is in none of the groups that can read the journal.
    """
    return any(
        not os.access(file, os.R_OK) for place in kept_in for file in place.glob("*/*.journal")
    )


def files(kept_in: Sequence[Path] = _KEPT_IN) -> tuple[Path, ...]:
    """Return a file name in each directory where journald keeps its files.

    A watch for changes needs these names.
    """
    found: list[Path] = []
    for place in kept_in:
        try:
            found += [one / "system.journal" for one in place.iterdir()]
        except OSError:
            continue
    return tuple(found)


def parse(line: bytes) -> Entry | None:
    """Read one line of `journalctl -o json`; None if the line is no entry.

    A message is cut at LONGEST_MESSAGE characters. Values are strings, lists of byte values if the
    value is not printable, and null if it is too long (without `--all`). A field that occurs more
    than once is a list of these (systemd.io, "Journal JSON Format").
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
    """Read the fields of one entry, in the forms that `parse` describes."""
    # The manager's lines carry the invocation of the manager, user@UID.service. So the invocation
    # of the unit that such a line is about comes first.
    invocation = _printable_text(fields.get("USER_INVOCATION_ID")) or _printable_text(
        fields.get("_SYSTEMD_INVOCATION_ID")
    )
    return Entry(
        time=_time(fields.get("__REALTIME_TIMESTAMP")),
        message=(_text(fields.get("MESSAGE")) or "")[:LONGEST_MESSAGE],
        priority=_number(fields.get("PRIORITY")),
        pid=_number(fields.get("_PID")),
        identifier=_printable_text(fields.get("SYSLOG_IDENTIFIER")),
        invocation=invocation,
        cursor=_printable_text(fields.get("__CURSOR")),
        unit=_printable_text(fields.get("USER_UNIT"))
        or _printable_text(fields.get("_SYSTEMD_USER_UNIT"))
        or _printable_text(fields.get("_SYSTEMD_UNIT")),
    )


def _cut(found: re.Match[bytes]) -> bytes:
    # A message of megabytes is cut before it becomes objects; as JSON it has one number for each
    # byte if it is not printable.
    if found[1] is not None:
        whole = _WHOLE_ESCAPES.match(found[1][:LONGEST_MESSAGE])
        return b'"MESSAGE":"' + (whole[0] if whole else b"") + b'"'
    return b'"MESSAGE":[' + found[2][: 4 * LONGEST_MESSAGE].rpartition(b",")[0] + b"]"


def _text(value: Any) -> str | None:  # noqa: ANN401 (parsed JSON)
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return None
    if all(isinstance(one, int) and 0 <= one <= 255 for one in value):
        return bytes(value).decode("utf-8", "replace")
    texts = map(_text, value)
    return "\n".join(text for text in texts if text is not None)


def _printable_text(value: Any) -> str | None:  # noqa: ANN401 (parsed JSON)
    # Each process chooses its own name (sd_journal_send(3), logger -t), and these fields are
    # printed as they are.
    text = _text(value)
    if text is None:
        return None
    return printable(text)


def _number(value: Any) -> int | None:  # noqa: ANN401 (parsed JSON)
    text = _text(value)
    if text is None or not text.isascii() or not text.isdecimal() or len(text) >= 20:
        return None
    return int(text)


def _time(value: Any) -> datetime | None:  # noqa: ANN401 (parsed JSON)
    microseconds = _number(value)
    if microseconds is None:
        return None
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return None


def _explained(error: CommandFailed) -> RootlessError:
    if "insufficient permissions" in error.message:
        return RootlessError("cannot read the journal: permission denied", hint=HINT)
    why = error.message.rpartition("` failed: ")[2]
    if why.startswith(("Failed to parse timestamp", "Bad pattern")):
        return UsageError(f"cannot read the journal: {why[:1].lower()}{why[1:]}")
    return error


def _is_used(place: Path) -> bool:
    # If no journal is kept, journalctl prints neither an entry nor an error (systemd 257), as if
    # nothing had been logged.
    try:
        return any(place.iterdir())
    except FileNotFoundError:
        return False
    except OSError:
        return True
