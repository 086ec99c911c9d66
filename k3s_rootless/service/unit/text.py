"""The text of the unit, rendered for one K3s release."""

from __future__ import annotations

import re
from dataclasses import astuple

from k3s_rootless.errors import PreflightFailed
from k3s_rootless.service.facts import UnitSettings
from k3s_rootless.service.unit.seal import Author, author, digest, sealed
from k3s_rootless.templates import loader, rendering
from k3s_rootless.unit_file import quoted, unreadable

_RELEASE = re.compile(
    r"^# K3s for this user, without root\. Written by k3s-rootless for K3s (?P<release>\S+);",
    re.MULTILINE,
)
_NO_PROGRAM = re.compile(r"[\x00-\x1f\x7f\"'\\]")


def render(settings: UnitSettings) -> str:
    """Return the whole text of the unit, with its seal.

    Raises PreflightFailed for a path that cannot be written in a unit.
    """
    require_startable(settings.binary)
    template = _template()
    body = rendering.text(
        template,
        about=about(settings.version),
        origin=_origin(template, settings),
        server=settings.server,
        binary=quoted(settings.binary),
        search=quoted(f"PATH={settings.search}"),
    )
    return sealed(body)


def is_rendered_from(text: str, settings: UnitSettings) -> bool:
    """Return whether `render` would return this text.

    The text is not rendered for this check, because jinja2 takes 37 ms to load.
    """
    return author(text) is Author.OURS and _origin(_template(), settings) in text.splitlines()


def require_startable(binary: str) -> None:
    """Raise PreflightFailed for a program path that cannot be written in a unit."""
    if _NO_PROGRAM.search(binary) or any(map(unreadable, binary)):
        raise PreflightFailed(
            f"cannot use {binary!a} in a unit: systemd cannot start a program with quotes,"
            " backslashes or unprintable characters in its path",
            hint="install k3s in a path without these characters, such as ~/.local/bin/k3s",
        )


def about(version: str) -> str:
    """Return the line from which `written_for` reads the release."""
    origin = f"Written by k3s-rootless for K3s {version}; with the directives of its own unit."
    return f"# K3s for this user, without root. {origin}"


def _origin(template: str, settings: UnitSettings) -> str:
    parts = "\0".join((template, *astuple(settings)))
    return f"# Rendered from sha256:{digest(parts)}"


def _template() -> str:
    return loader.read("units", "k3s-rootless.service.j2")


def written_for(text: str) -> str | None:
    """Return the K3s release for which a unit was written; None if it names none."""
    found = _RELEASE.search(text)
    if found is None:
        return None
    return found["release"]
