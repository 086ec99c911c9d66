"""The journal of another machine, from a file of `journalctl -o export` or `-o json`.

The file can be cut off or damaged. It is read entry by entry in constant memory. Parts that are no
entry are skipped and counted. A file without any entry is refused.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.journal.facts import Entry
from k3s_rootless.journal.sources import journald

_LONGEST_LINE = 64 * 1024 * 1024
"""The limit in bytes; a message of 10 MB that is not printable takes 40 MB as JSON."""
_LONGEST_FIELD = 1024 * 1024
_MOST_FIELDS = 1024
_FIELDS = frozenset(
    {
        *("__REALTIME_TIMESTAMP", "__CURSOR", "MESSAGE", "PRIORITY", "_PID", "SYSLOG_IDENTIFIER"),
        *(
            "_SYSTEMD_INVOCATION_ID",
            "USER_INVOCATION_ID",
            "USER_UNIT",
            "_SYSTEMD_USER_UNIT",
            "_SYSTEMD_UNIT",
        ),
    }
)


class Exported:
    """The entries of a file about K3s, in the order of the file.

    `skipped` counts the parts that are no entry, `foreign` the entries of other units.
    """

    def __init__(self, path: Path) -> None:
        self.skipped = 0
        self.foreign = 0
        self.entries = 0
        self._path = path

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries.

        Raises UsageError if the file holds no journal or cannot be opened, and RootlessError if
        reading it fails.
        """
        try:
            with self._path.open("rb") as file:
                for entry in self._read(file):
                    self.entries += 1
                    if _about_k3s(entry):
                        yield entry
                    else:
                        self.foreign += 1
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise UsageError(
                f"cannot read `{self._path}`: {(error.strerror or '').lower()}"
            ) from error
        except OSError as error:
            raise RootlessError(f"cannot read `{self._path}`: {error.strerror}") from error
        if not self.entries:
            raise UsageError(
                f"cannot read `{self._path}`: the file contains no journal entries",
                hint="export a journal with: journalctl --user-unit=k3s-rootless.service -o export"
                " > FILE",
            )

    def _read(self, file: IO[bytes]) -> Iterator[Entry]:
        if _first(file) in {b"{", b"["}:
            return self._json(file)
        return self._export(file)

    def _json(self, file: IO[bytes]) -> Iterator[Entry]:
        for line in _lines(file, _LONGEST_LINE):
            entry = journald.parse(line)
            if entry is not None:
                yield entry
            elif line.strip():
                self.skipped += 1

    def _export(self, file: IO[bytes]) -> Iterator[Entry]:
        fields: dict[str, object] = {}
        for line in _lines(file, _LONGEST_FIELD):
            if line == b"\n":
                if fields:
                    yield journald.of_fields(fields)
                fields = {}
            elif not self._field(line, file, fields):
                self.skipped += 1
        if fields:
            yield journald.of_fields(fields)

    def _field(self, line: bytes, file: IO[bytes], fields: dict[str, object]) -> bool:
        name, equals, value = line.rstrip(b"\n").partition(b"=")
        key = name.decode("ascii", "replace")
        if not _is_name(key):
            return False
        if not equals:
            # Binary: the length, 64 bits little endian, then the value and a newline (systemd.io,
            # "Journal Export Formats").
            length = int.from_bytes(file.read(8), "little")
            value = file.read(min(length, _LONGEST_FIELD))
            if length > len(value):
                _skip(file, length - len(value))
            file.read(1)
        if key in _FIELDS and len(fields) < _MOST_FIELDS:
            text = value.decode("utf-8", "replace")
            if key in fields:
                text = f"{fields[key]}\n{text}"[: journald.LONGEST_MESSAGE]
            fields[key] = text
        return True


def _lines(file: IO[bytes], longest: int) -> Iterator[bytes]:
    """Yield lines, or parts of at most `longest` bytes; other reads can come in between."""
    return iter(lambda: file.readline(longest), b"")


def _first(file: IO[bytes]) -> bytes:
    start = file.read(4096)
    file.seek(0)
    return start.lstrip()[:1]


def _skip(file: IO[bytes], length: int) -> None:
    # A damaged length can point beyond the end of the file; then reading stops there.
    here = file.seek(0, io.SEEK_CUR)
    end = file.seek(0, io.SEEK_END)
    file.seek(min(end, here + length))


def _is_name(key: str) -> bool:
    return (
        0 < len(key) <= 64
        and key.isascii()
        and key.replace("_", "").isalnum()
        and key.upper() == key
    )


def _about_k3s(entry: Entry) -> bool:
    if entry.unit is None:
        return entry.identifier in {None, "k3s", "systemd", "systemd-oomd", "kernel"}
    return "k3s" in entry.unit
