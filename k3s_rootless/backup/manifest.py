"""The manifest of an archive: its JSON form, and the rules for names in an archive."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from k3s_rootless.backup.facts import (
    FORMAT,
    Datastore,
    Entry,
    LeftOut,
    Manifest,
    Origin,
    Root,
    Volumes,
)
from k3s_rootless.errors import RootlessError
from k3s_rootless.json_fields import InvalidField, each, field, optional, parsing, typed

NAME = "manifest.json"
VOLUMES = f"{Root.VOLUMES.value}/storage.tar"
"""The entry that contains all volumes."""
SCHEMA = "k3s-rootless/backup-manifest"
LARGEST = 8 * 2**20
"""The maximum number of bytes of a manifest."""
MOST_ENTRIES = 20_000
MOST_BYTES = 2**40
"""The maximum size of all files of an archive."""
LATEST = 8**11 - 1
"""The latest time that a header of a tar file can have, in seconds since 1970."""
WARNING = (
    "This archive contains secrets: the token, private keys and all Secrets of the cluster."
    " Everyone who can read it can control the cluster."
)
INCONSISTENT = (
    "K3s ran while the volumes were copied: a program may have written to files that belong"
    " together, and only some of the changes are in the copy."
)
_LONGEST_NAME = 1024
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


def render(manifest: Manifest) -> bytes:
    """Return the JSON form of a manifest."""
    origin = manifest.origin
    content = {
        "schema": f"{SCHEMA}/v{FORMAT}",
        "warning": WARNING,
        "created": manifest.created.isoformat(),
        "k3s_rootless": manifest.tool,
        "k3s": origin.k3s,
        "architecture": origin.architecture,
        "user": origin.user,
        "node": origin.node,
        "directories": {root.value: path for root, path in origin.roots.items()},
        "datastore": manifest.datastore.value,
        "live": manifest.live,
        "revision": manifest.revision,
        "volumes": _volumes_json(manifest.volumes),
        "files": [
            {
                "name": one.name,
                "size": one.size,
                "sha256": one.sha256,
                "mode": f"{one.mode:04o}",
                "modified": one.modified,
            }
            for one in manifest.entries
        ],
        "left_out": [{"path": one.path, "reason": one.reason} for one in manifest.left_out],
    }
    # ASCII: a file name that is not UTF-8 is kept as escaped surrogates.
    return json.dumps(content, indent=1).encode("ascii") + b"\n"


def parse(data: bytes) -> Manifest:
    """Parse a manifest. Raises RootlessError for an invalid manifest and an unknown format."""
    with parsing("the manifest of the backup"):
        content = typed(json.loads(data), dict)
        _require_known(field(content, "schema", str))
        entries = each(content, "files", _entry)
        _require_bounded(entries)
        return Manifest(
            created=_time(field(content, "created", str)),
            tool=field(content, "k3s_rootless", str),
            origin=_origin(content),
            datastore=_datastore(field(content, "datastore", str)),
            live=field(content, "live", bool),
            revision=optional(content, "revision", int),
            entries=entries,
            left_out=each(content, "left_out", _left_out),
            volumes=_volumes(content, entries),
        )


def name_problem(name: str) -> str:
    """Return why a name must not be in an archive; empty if it is allowed."""
    root, _, rest = name.partition("/")
    if root not in {one.value for one in Root} or not rest:
        return "it is in no directory that belongs to a backup"
    if any(part in {"", ".", ".."} for part in rest.split("/")):
        return "its path leaves its directory, or is not normal"
    if "\0" in name:
        return "it contains a null character"
    if len(name) > _LONGEST_NAME:
        return f"it is longer than {_LONGEST_NAME} characters"
    return ""


def split(name: str) -> tuple[Root, str]:
    """Return the root of a name, and the rest."""
    root, _, rest = name.partition("/")
    return Root(root), rest


def _require_known(schema: str) -> None:
    name, _, version = schema.rpartition("/v")
    if name != SCHEMA or not version.isdecimal():
        raise InvalidField("is not that of a backup", "schema")
    if int(version[:9]) != FORMAT:
        raise RootlessError(
            f"cannot use the backup: its format is version {version[:9]}, and this k3s-rootless"
            f" reads version {FORMAT}",
            hint="update k3s-rootless",
        )


def _origin(content: dict[str, Any]) -> Origin:
    directories = field(content, "directories", dict)
    return Origin(
        user=field(content, "user", str),
        node=field(content, "node", str),
        architecture=field(content, "architecture", str),
        k3s=optional(content, "k3s", str),
        roots={
            root: typed(directories[root.value], str, f"directories.{root.value}")
            for root in Root
            if root.value in directories
        },
    )


def _entry(value: Any) -> Entry:  # noqa: ANN401 (untyped JSON)
    content = typed(value, dict)
    name = field(content, "name", str)
    problem = name_problem(name)
    if problem:
        raise InvalidField(problem, "name")
    size = field(content, "size", int)
    if size < 0:
        raise InvalidField("must not be negative", "size")
    sha256 = field(content, "sha256", str)
    if not _SHA256.fullmatch(sha256):
        raise InvalidField("must be 64 hexadecimal digits", "sha256")
    mode = field(content, "mode", str)
    if not re.fullmatch("0[0-7]{3}", mode):
        raise InvalidField("must be a mode such as 0600", "mode")
    modified = field(content, "modified", int)
    if not 0 <= modified <= LATEST:
        raise InvalidField("must be a time in seconds", "modified")
    return Entry(name, size, sha256, int(mode, 8), modified)


def _volumes_json(volumes: Volumes | None) -> dict[str, Any] | None:
    if volumes is None:
        return None
    found: dict[str, Any] = {
        "files": volumes.files,
        "content": volumes.content,
        "largest_id": volumes.largest_id,
        "names": list(volumes.names),
        "changed": volumes.changed,
        "consistent": volumes.consistent,
    }
    if not volumes.consistent:
        found["note"] = INCONSISTENT
    return found


def _volumes(content: dict[str, Any], entries: tuple[Entry, ...]) -> Volumes | None:
    inside = [one.name for one in entries if one.name.startswith(f"{Root.VOLUMES.value}/")]
    found = optional(content, "volumes", dict)
    if inside != ([VOLUMES] if found is not None else []):
        raise InvalidField("does not match the files", "volumes")
    if found is None:
        return None
    numbers = [field(found, key, int) for key in ("files", "content", "largest_id", "changed")]
    if min(numbers) < 0:
        raise InvalidField("must not be negative", "volumes")
    names = each(found, "names", lambda one: typed(one, str))
    files, size, largest, changed = numbers
    return Volumes(files, size, largest, names, changed, field(found, "consistent", bool))


def _left_out(value: Any) -> LeftOut:  # noqa: ANN401 (untyped JSON)
    content = typed(value, dict)
    return LeftOut(field(content, "path", str), field(content, "reason", str))


def _require_bounded(entries: tuple[Entry, ...]) -> None:
    names = {one.name for one in entries}
    if len(names) < len(entries):
        raise InvalidField("names the same file twice", "files")
    if len(entries) > MOST_ENTRIES or sum(one.size for one in entries) > MOST_BYTES:
        raise InvalidField("lists too many files or bytes", "files")
    for name in names:
        above = name.rpartition("/")[0]
        while above:
            if above in names:
                raise InvalidField("uses a file as a directory", "files")
            above = above.rpartition("/")[0]


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidField("must be a time", "created") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _datastore(text: str) -> Datastore:
    try:
        return Datastore(text)
    except ValueError:
        raise InvalidField("is unknown", "datastore") from None
