"""The changes of registries.yaml, as records, and how they are applied to its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from k3s_rootless import edited_yaml, yaml_file
from k3s_rootless.edited_yaml import NotEditable
from k3s_rootless.node.registries import endpoints, yaml_lines
from k3s_rootless.node.registries.facts import Credentials, Registries

HIDDEN = "********"
_SECRET = frozenset({"password", "auth", "identity_token"})


@dataclass(frozen=True, slots=True)
class Edit:
    """Set the value at a path of keys; None removes it. `text` describes it without secrets."""

    path: tuple[str, ...]
    value: Any = field(repr=False)

    @property
    def text(self) -> str:
        """The change as a line of text."""
        place = " → ".join(self.path)
        if self.value is None:
            return f"{place}: removed"
        if self.path[-1] in _SECRET:
            return f"{place}: {HIDDEN}"
        if isinstance(self.value, list):
            return f"{place}: {', '.join(self.value)}"
        if isinstance(self.value, dict):
            pairs = (f"{key} = {value}" for key, value in self.value.items())
            return f"{place}: {', '.join(pairs)}"
        if self.value is True:
            return f"{place}: true"
        return f"{place}: {self.value}"


def of_setting(
    name: str,
    *,
    addresses: Sequence[str],
    rewrites: Mapping[str, str] | None,
    credentials: Credentials | None,
    files: Mapping[str, str] | None,
    verify: bool | None,
) -> tuple[Edit, ...]:
    """Return the changes that set what is given."""
    listed: list[Edit] = []
    host = _key(name)
    if addresses:
        listed.append(Edit(("mirrors", name, "endpoint"), list(addresses)))
    if rewrites:
        listed.append(Edit(("mirrors", name, "rewrite"), dict(rewrites)))
    if credentials is not None:
        above = ("configs", host, "auth")
        listed.append(Edit((*above, "username"), credentials.username))
        listed.append(Edit((*above, "password"), credentials.password))
    if files:
        listed += [Edit(("configs", host, "tls", key), path) for key, path in files.items()]
    if verify is not None:
        value = None if verify else True
        listed.append(Edit(("configs", host, "tls", "insecure_skip_verify"), value))
    return tuple(listed)


def of_removal(found: Registries, name: str) -> tuple[Edit, ...]:
    """Return the changes that remove a registry; empty if it is not in the file."""
    paths = [("configs", key) for key in dict.fromkeys((name, _key(name))) if key in found.configs]
    if name in found.mirrors:
        paths.insert(0, ("mirrors", name))
    return tuple(Edit(path, None) for path in paths)


def applied(content: bytes, edits: Sequence[Edit]) -> bytes:
    """Return the text with these changes; all else stays. Raises NotEditable."""

    def change(document: Any) -> str:  # noqa: ANN401 (types of ruamel.yaml)
        after = ""
        for edit in edits:
            if edit.value is None:
                after += edited_yaml.remove(document, edit.path)
            else:
                after += edited_yaml.put(document, edit.path, edit.value)
        return after

    expected = _loaded(content) or {}
    for edit in edits:
        _apply(expected, edit)
    if expected == (_loaded(content) or {}):
        return content
    new = edited_yaml.edited(content, change, {})
    if (_loaded(new) or {}) != expected:
        raise NotEditable("it has a form that cannot be changed without a loss")
    return new


def _key(name: str) -> str:
    """Return the key of the settings of a registry.

    Until July 2025, containerd of K3s found the credentials for Docker Hub below the name of its
    server only (K3s #12561); later releases know both.
    """
    if name == endpoints.HUB:
        return endpoints.HUB_SERVER
    return name


def _loaded(content: bytes) -> Any:  # noqa: ANN401 (parsed YAML)
    try:
        return yaml_file.load(content, yaml_lines.DEEPEST)
    except yaml_file.NotYaml as error:
        raise NotEditable("it is not valid YAML") from error


def _apply(document: dict[str, Any], edit: Edit) -> None:
    chain = [document]
    for key in edit.path[:-1]:
        inner = chain[-1].get(key)
        if not isinstance(inner, dict):
            if edit.value is None:
                return
            inner = chain[-1][key] = {}
        chain.append(inner)
    if edit.value is not None:
        chain[-1][edit.path[-1]] = edit.value
        return
    chain[-1].pop(edit.path[-1], None)
    for above, key in zip(reversed(chain[:-1]), reversed(edit.path[:-1]), strict=True):
        if above[key]:
            return
        del above[key]
