"""Show the settings of containerd, and which file makes each of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.node.containerd import settings
from k3s_rootless.node.containerd.facts import Part, Setting
from k3s_rootless.operations.containerd import place as places
from k3s_rootless.support.redaction.redact import Redactor

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context


@dataclass(frozen=True, slots=True)
class Row:
    """A setting as text, without secrets."""

    key: str
    value: str
    origin: str
    path: Path
    overridden: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """The files and the settings; `newer` are the files that changed after the last start.

    `text` is the rendered configuration without secrets.
    """

    directory: Path
    rendered: bool
    parts: tuple[Part, ...]
    rows: tuple[Row, ...]
    newer: tuple[Path, ...]
    text: str


def show(context: Context) -> Shown:
    """Read the rendered configuration and its drop-ins. Raises RootlessError."""
    place = places.find(context)
    files = places.read(place)
    found = settings.merged(files.parts)
    redactor = Redactor(settings.secrets(found))
    rendered = files.found.rendered
    text = ""
    if rendered is not None:
        text = redactor.text(rendered.text or "")
    return Shown(
        place.directory,
        rendered is not None,
        files.parts,
        tuple(_row(one, redactor) for one in found),
        files.newer,
        text,
    )


def _row(one: Setting, redactor: Redactor) -> Row:
    value = settings.shown(one)
    if not settings.is_secret(one.key):
        value = redactor.line(value)
    return Row(settings.dotted(one.key), value, one.origin, one.path, one.overridden)
