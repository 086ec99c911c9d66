"""The form of K3s's registries.yaml, checked with pydantic: types and unknown keys, with lines.

Source: wharfie v0.7.1 (pkg/registries/types.go), which K3s v1.21 to v1.36 use.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from k3s_rootless.node.registries.facts import Problem

if TYPE_CHECKING:
    from k3s_rootless.node.registries.yaml_lines import Content

_TRUE = frozenset({"y", "yes", "true", "on"})
_FALSE = frozenset({"n", "no", "false", "off", ""})
_LONGEST = 60


def _switch(value: Any) -> Any:  # noqa: ANN401 (parsed YAML)
    """Return the switch that yaml.v2 reads; other values are refused."""
    if value is None:
        return False
    word = value.lower() if isinstance(value, str) else value
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    return value


def _text(value: Any) -> Any:  # noqa: ANN401 (parsed YAML)
    return "" if value is None else value


def _list(value: Any) -> Any:  # noqa: ANN401 (parsed YAML)
    return [] if value is None else value


def _map(value: Any) -> Any:  # noqa: ANN401 (parsed YAML)
    return {} if value is None else value


Text = Annotated[str, BeforeValidator(_text)]
Switch = Annotated[bool, BeforeValidator(_switch)]


class _Form(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Auth(_Form):
    """`auth` of a registry."""

    username: Text = ""
    password: Text = Field(default="", repr=False)
    auth: Text = Field(default="", repr=False)
    identity_token: Text = Field(default="", repr=False)


class TlsFiles(_Form):
    """`tls` of a registry."""

    ca_file: Text = ""
    cert_file: Text = ""
    key_file: Text = ""
    insecure_skip_verify: Switch = False


class Host(_Form):
    """An entry of `configs`."""

    auth: Annotated[Auth, BeforeValidator(_map)] = Auth()
    tls: Annotated[TlsFiles, BeforeValidator(_map)] = TlsFiles()


class Endpoints(_Form):
    """An entry of `mirrors`."""

    endpoint: Annotated[list[Text], BeforeValidator(_list)] = []
    rewrite: Annotated[dict[str, Text], BeforeValidator(_map)] = {}


class Form(_Form):
    """The whole file."""

    mirrors: Annotated[
        dict[str, Annotated[Endpoints, BeforeValidator(_map)]], BeforeValidator(_map)
    ] = {}
    configs: Annotated[
        dict[str, Annotated[Host, BeforeValidator(_map)]], BeforeValidator(_map)
    ] = {}
    auths: Annotated[dict[str, Annotated[Auth, BeforeValidator(_map)]], BeforeValidator(_map)] = {}


_KEYS: Mapping[str, Sequence[str]] = {
    "": tuple(Form.model_fields),
    "mirrors": tuple(Endpoints.model_fields),
    "configs": tuple(Host.model_fields),
    "auth": tuple(Auth.model_fields),
    "tls": tuple(TlsFiles.model_fields),
}
_EXPECTED = {
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
    "list_type": "a list",
    "string_type": "a text",
    "bool_type": "true or false",
}


def form(content: Content) -> tuple[Form, list[Problem]]:
    """Return the form of a document, and its problems; with a fatal one, the form is empty."""
    document = content.document
    problems = list(content.repeated)
    if document is None:
        return Form(), problems
    unknown: list[tuple[str | int, ...]] = []
    while True:
        try:
            return Form.model_validate(document), problems
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
        ignored = [one["loc"] for one in found if one["type"] == "extra_forbidden"]
        problems += [_ignored(path, content) for path in ignored]
        fatal = [one for one in found if one["type"] != "extra_forbidden"]
        if fatal or not ignored or ignored == unknown:
            problems += [_wrong(one["loc"], one["type"], content) for one in fatal]
            return Form(), problems
        unknown = ignored
        document = _without(document, ignored)


def _ignored(path: Sequence[str | int], content: Content) -> Problem:
    name = str(path[-1])
    keys = _KEYS[_kind(path)]
    near = difflib.get_close_matches(name.lower(), keys, 1)
    text = f"K3s ignores the unknown key `{_shown(name)}`"
    if near:
        return Problem(content.line(path), f"{text}; the nearest known key is `{near[0]}`")
    return Problem(content.line(path), f"{text}; known keys here are {', '.join(keys)}")


def _kind(path: Sequence[str | int]) -> str:
    """Return the kind of mapping that has the last key of a path."""
    if len(path) == 1:
        return ""
    if path[0] == "auths":
        return "auth"
    if len(path) > 3:
        return str(path[2])
    return str(path[0])


def _wrong(path: Sequence[str | int], kind: str, content: Content) -> Problem:
    expected = _EXPECTED.get(kind, "of another type")
    if not path:
        return Problem(
            1, "the file must be a mapping with the keys mirrors and configs", fatal=True
        )
    words = [_shown(str(one)) for one in path if isinstance(one, str)]
    text = f"`{'.'.join(words)}` must be {expected}"
    return Problem(content.line(path), text, fatal=True)


def _without(document: Any, paths: Sequence[Sequence[str | int]]) -> Any:  # noqa: ANN401 (YAML)
    """Return a copy of a document without the keys at some paths."""
    if not isinstance(document, dict):
        return document
    here = {path[0] for path in paths if len(path) == 1}
    return {
        key: _without(value, [path[1:] for path in paths if len(path) > 1 and path[0] == key])
        for key, value in document.items()
        if key not in here
    }


def _shown(word: str) -> str:
    return word[:_LONGEST]
