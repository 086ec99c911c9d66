"""Change registries.yaml: set and remove entries, and keep all else in the file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import user_file
from k3s_rootless.edited_yaml import NotEditable
from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.node.registries import content, edits, endpoints
from k3s_rootless.node.registries.edits import Edit
from k3s_rootless.node.registries.facts import Credentials
from k3s_rootless.operations.registries import place as places

if TYPE_CHECKING:
    from k3s_rootless.node.registries.facts import Registries
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.registries.place import Place
    from k3s_rootless.user_file import UserFile


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `registries set`; None and empty values leave the file as it is.

    `files` maps `ca_file`, `cert_file` and `key_file` to paths.
    """

    endpoints: tuple[str, ...] = ()
    rewrites: Mapping[str, str] | None = None
    credentials: Credentials | None = None
    files: Mapping[str, str] | None = None
    verify: bool | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is requested."""
        given = (self.endpoints, self.rewrites, self.credentials, self.files)
        return not any(given) and self.verify is None


def credentials(given: tuple[str, str] | None) -> Credentials | None:
    """Return the credentials of a user name and a password."""
    if given is None:
        return None
    return Credentials(*given)


@dataclass(frozen=True, slots=True)
class Changed:
    """What was changed, or would be with `dry_run`, without secrets."""

    path: Path
    changes: tuple[str, ...]
    changed: bool
    dry_run: bool
    restart_needed: str


def set_registry(context: Context, name: str, request: Request, *, dry_run: bool) -> Changed:
    """Set the endpoints, credentials or TLS files of a registry.

    Raises UsageError for values that K3s would ignore, RootlessError.
    """
    _require_name(name)
    if request.empty:
        raise UsageError(
            f"cannot set `{name}`: no setting is given",
            hint=f"for example: k3s-rootless registries set {name} --endpoint https://HOST:PORT",
        )
    for one in request.endpoints:
        _require_endpoint(name, one)
    return _changed(context, name, _Setting(name, request), dry_run=dry_run)


def remove_registry(context: Context, name: str, *, dry_run: bool) -> Changed:
    """Remove a registry with its endpoints and credentials.

    Raises RootlessError, also if the file does not have it.
    """
    return _changed(context, name, _Removal(name), dry_run=dry_run)


@dataclass(frozen=True, slots=True)
class _Setting:
    name: str
    request: Request
    verb = "set"

    def edits(self, _: Registries, place: Place) -> Sequence[Edit]:
        for key, path in (self.request.files or {}).items():
            _require_visible(self.name, key, path, place)
        return edits.of_setting(
            self.name,
            addresses=self.request.endpoints,
            rewrites=self.request.rewrites,
            credentials=self.request.credentials,
            files=self.request.files,
            verify=self.request.verify,
        )


@dataclass(frozen=True, slots=True)
class _Removal:
    name: str
    verb = "remove"

    def edits(self, found: Registries, place: Place) -> Sequence[Edit]:
        listed = edits.of_removal(found, self.name)
        if not listed:
            raise RootlessError(
                f"cannot remove `{self.name}`: it is not in {place.path}",
                hint="list the registries with: k3s-rootless registries show",
            )
        return listed


def _changed(context: Context, name: str, change: _Setting | _Removal, *, dry_run: bool) -> Changed:
    place = places.find(context)
    if dry_run:
        return _apply(context, name, change, place, dry_run=True)
    with context.locked():
        return _apply(context, name, change, place, dry_run=False)


def _apply(
    context: Context, name: str, change: _Setting | _Removal, place: Place, *, dry_run: bool
) -> Changed:
    file, found = places.read(context, place, "change")
    _require_readable(file, found)
    listed = change.edits(found, place)
    try:
        new = edits.applied(file.content, listed)
    except NotEditable as error:
        raise RootlessError(
            f"cannot {change.verb} `{name}` in `{place.path}`: {error}",
            hint=f"change the file with an editor: {place.path}",
        ) from None
    is_new = new != file.content
    if is_new:
        mode = _mode(file, content.read(new, place.release))
        if mode not in {None, file.mode} and file.shared:
            context.notice(user_file.made_private(file, "passwords", dry_run=dry_run))
        if not dry_run:
            user_file.write(file, new, mode=mode)
    restart = ""
    if is_new and place.state.running:
        restart = f"the running K3s does not read `{place.path}` again"
    elif not is_new:
        restart = places.restart_needed(place)
    texts = tuple(one.text for one in listed)
    return Changed(place.path, texts, is_new, dry_run, restart)


def _mode(file: UserFile, new: Registries) -> int | None:
    """Return the mode of the new file: with passwords, only the user can read it."""
    if not any(one.credentials.given for one in new.configs.values()):
        return None
    return file.private_mode


def _require_readable(file: UserFile, found: Registries) -> None:
    fatal = next((one for one in found.problems if one.fatal), None)
    if fatal is None:
        return
    place = f", line {fatal.line}" if fatal.line is not None else ""
    raise RootlessError(
        f"cannot change `{file.path}`{place}: {fatal.text}",
        hint=f"correct it with an editor: {file.path}",
    )


def _require_name(name: str) -> None:
    reason = ""
    try:
        if name != content.EVERY:
            endpoints.parsed(name)
    except ValueError as error:
        reason = str(error)
    if "/" in name:
        reason = "it is an address or an image; a registry has the form HOST[:PORT]"
    if reason:
        shown = endpoints.without_password(name)
        raise UsageError(
            f"cannot set `{shown}`: {reason}",
            hint="name a registry as images do, such as docker.io or registry.example:5000",
        )


def _require_endpoint(name: str, endpoint: str) -> None:
    try:
        endpoints.parsed(endpoint)
    except ValueError as error:
        shown = endpoints.without_password(endpoint)
        raise UsageError(
            f"cannot set the endpoint `{shown}` of `{name}`: {error}",
            hint="an endpoint is an address, such as https://mirror.example:5000",
        ) from None


def _require_visible(name: str, key: str, path: str, place: Place) -> None:
    here = place.on_host(path)
    if os.access(here, os.R_OK) and here.is_file():
        return
    where = f"`{path}`"
    if str(here) != path:
        where = f"`{path}`, which is {here} on the host,"
    raise UsageError(
        f"cannot set `{key}` of `{name}`: {where} is not a readable file",
        hint="name a PEM file that this user can read, for example below the home directory",
    )
