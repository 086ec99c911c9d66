"""The settings that containerd gets from the rendered configuration and its drop-ins.

Source: containerd cmd/containerd/server/config (mergeConfig): later files win, tables are merged,
and lists get the values of all files.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from k3s_rootless.node.containerd import forms
from k3s_rootless.node.containerd.facts import File, Part, Role, Setting

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = frozenset(
    {"password", "auth", "identitytoken", "identity_token", "authorization", "tls_key"}
)
CGROUP = "SystemdCgroup"
_OWN = "K3s"
_TEXT_CGROUP = re.compile(rf"^\s*{CGROUP}\s*=\s*true\b", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z0-9_-]+")

Key = tuple[str, ...]


def merged(parts: Sequence[Part]) -> tuple[Setting, ...]:
    """Return the settings of the files that containerd reads, apart from files with TOML errors."""
    read = [one for one in parts if one.read]
    template = next((one.file for one in read if one.role is Role.TEMPLATE), None)
    found: dict[Key, Setting] = {}
    for part in read:
        for key, value in _given(part):
            earlier = found.get(key)
            others: tuple[Path, ...] = ()
            if earlier is not None and earlier.value != value:
                others = (*earlier.overridden, earlier.path)
            origin = _origin(part, key, template)
            found[key] = Setting(key, value, part.file.path, origin, others)
    return tuple(found.values())


def _given(part: Part) -> Iterator[tuple[Key, Any]]:
    """Yield the settings of a file; the text of a template is no TOML."""
    if part.role is Role.TEMPLATE:
        return
    for key, value in _flat(document(part.file)):
        if part.role is Role.RENDERED or key not in {("version",), ("imports",)}:
            yield key, value


def document(file: File) -> Mapping[str, Any]:
    """Return the TOML document of a file; empty if it cannot be read or is no TOML."""
    try:
        return tomllib.loads(file.text or "")
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def dotted(key: Key) -> str:
    """Return a key as TOML writes it."""
    return ".".join(one if _WORD.fullmatch(one) else f"'{one}'" for one in key)


def shown(setting: Setting) -> str:
    """Return the value of a setting as text, or stars for a secret."""
    if is_secret(setting.key):
        return "********"
    value = setting.value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return str(value)


def is_secret(key: Key) -> bool:
    """Return whether the value of a key must not be shown."""
    return any(one.lower() in SECRETS for one in (key[-1], *key[-2:-1])) and key[-1] != "username"


def secrets(settings: Sequence[Setting]) -> tuple[str, ...]:
    """Return the secret values, to be removed from texts."""
    return tuple(
        text for one in settings if is_secret(one.key) for text in _texts(one.value) if text
    )


def uses_systemd(file: File) -> bool:
    """Return whether a file lets runc use systemd, which has no bus in K3s's namespaces."""
    return file.text is not None and _TEXT_CGROUP.search(file.text) is not None


def _origin(part: Part, key: Key, template: File | None) -> str:
    if part.role is Role.DROP_IN:
        return part.file.path.name
    if template is None:
        return _OWN
    text = template.text or ""
    if not forms.includes_base(text) or _is_in(text, key):
        return template.path.name
    return _OWN


def _is_in(text: str, key: Key) -> bool:
    """Return whether a template contains a key itself, below its table or not."""
    setting = re.compile(rf"^\s*[\"']?{re.escape(key[-1])}[\"']?\s*=", re.MULTILINE)
    return setting.search(text) is not None and all(one in text for one in key[:-1])


def _flat(document: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from _flat(value, (*above, name))
        else:
            yield (*above, name), value


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401 (a TOML value)
    if isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value
