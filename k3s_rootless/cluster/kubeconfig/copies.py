"""The record of the copies of our entries, so that `status` need not read the user's files.

The record is written before and after a file is changed. So a run that is killed leaves at most a
record of a copy that does not exist; the file of the user, which is read before a change, decides.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from k3s_rootless import atomic
from k3s_rootless.cluster.kubeconfig.facts import Copy
from k3s_rootless.errors import PeerError, RootlessError
from k3s_rootless.json_fields import each, field, parsing, typed

RECORD = "kubeconfig.json"
_LARGEST = 256 * 1024


def read(own: Path) -> tuple[Copy, ...]:
    """Return the recorded copies; none if there is no record that can be read."""
    try:
        with (own / RECORD).open("rb") as file, parsing("the record of kubeconfigs"):
            found = typed(json.loads(file.read(_LARGEST).decode("utf-8")), dict)
            return each(found, "copies", _copy)
    except (OSError, PeerError):
        return ()


def write(own: Path, copies: Sequence[Copy]) -> None:
    """Replace the record. Raises RootlessError."""
    content = {
        "copies": [
            {
                "file": str(one.file),
                "name": one.name,
                "server": one.server,
                "fingerprint": one.fingerprint,
            }
            for one in copies
        ]
    }
    path = own / RECORD
    try:
        if not copies:
            path.unlink(missing_ok=True)
            return
        atomic.make_directory(own)
        atomic.sweep(own, RECORD)
        atomic.write(path, json.dumps(content, indent=2).encode("utf-8", "replace"), 0o600)
    except OSError as error:
        raise RootlessError(f"cannot write `{path}`: {atomic.reason(error)}") from error


def _copy(value: Any) -> Copy:  # noqa: ANN401 (untyped JSON)
    one = typed(value, dict)
    return Copy(
        Path(field(one, "file", str)),
        field(one, "name", str),
        field(one, "server", str),
        field(one, "fingerprint", str),
    )
