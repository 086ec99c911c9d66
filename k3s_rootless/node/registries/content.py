"""The meaning of registries.yaml for K3s and containerd, and what K3s ignores in it.

Source: K3s pkg/agent/containerd/config.go, v1.29 to v1.36; containerd core/remotes/docker/config.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from k3s_rootless import yaml_file
from k3s_rootless.k3s.features import Since
from k3s_rootless.node.registries import endpoints, yaml_lines
from k3s_rootless.node.registries.facts import (
    Config,
    Credentials,
    Mirror,
    Problem,
    Registries,
    Tls,
)

if TYPE_CHECKING:
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.node.registries.model import Auth, Form, TlsFiles
    from k3s_rootless.node.registries.yaml_lines import Content

_HUB_ALIAS = Since.of("v1.31.11+k3s1", "v1.32.7+k3s1", "v1.33.3+k3s1")
"""containerd finds the credentials of `docker.io` (K3s #12561; that of 1.31 is inferred)."""
EVERY = "*"
"""The key of the mirrors for all registries that are not in the file."""


def read(text: bytes, release: Version | None = None) -> Registries:
    """Return what K3s reads from a file, with the problems in it, sorted by line.

    `release` is that of K3s; None for the newest one.
    """
    # Imported here: pydantic takes 40 ms to load.
    from k3s_rootless.node.registries import model

    try:
        content = yaml_lines.read(text)
    except yaml_file.NotYaml as error:
        reason = "it is not valid YAML"
        if "aliases" in str(error):
            reason = "it contains YAML aliases, which k3s-rootless does not read"
        return Registries(problems=(Problem(error.line, reason, fatal=True),))
    except UnicodeDecodeError:
        return Registries(problems=(Problem(None, "it is not UTF-8 text", fatal=True),))
    found, problems = model.form(content)
    problems += _problems(found, content)
    if release is not None and not _HUB_ALIAS.holds(release):
        problems += _of_hub(found, content, release)
    mirrors = {
        name: Mirror(tuple(one.endpoint), dict(one.rewrite)) for name, one in found.mirrors.items()
    }
    configs = {
        name: Config(_credentials(one.auth), _tls(one.tls)) for name, one in found.configs.items()
    }
    problems.sort(key=lambda one: one.line or 0)
    return Registries(mirrors, configs, tuple(problems))


def _credentials(auth: Auth) -> Credentials:
    if auth.username or auth.password:
        return Credentials(auth.username, auth.password, auth.identity_token)
    decoded = _decoded(auth.auth)
    if decoded is None:
        return Credentials(identity=auth.identity_token)
    return Credentials(decoded[0], decoded[1], auth.identity_token)


def _decoded(text: str) -> tuple[str, str] | None:
    """Return the user name and the password in `auth`; None if it has another form."""
    try:
        name, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    if not colon:
        return None
    return name, password.rstrip("\0")


def _tls(tls: TlsFiles) -> Tls:
    return Tls(tls.ca_file, tls.cert_file, tls.key_file, tls.insecure_skip_verify)


def _problems(found: Form, content: Content) -> Iterator[Problem]:
    for name, mirror in found.mirrors.items():
        yield from _of_host(name, ("mirrors", name), content)
        yield from _of_endpoints(mirror.endpoint, ("mirrors", name, "endpoint"), content)
    for name, host in found.configs.items():
        yield from _of_host(name, ("configs", name), content)
        yield from _of_auth(host.auth, ("configs", name, "auth"), content)
        yield from _of_tls(host.tls, ("configs", name, "tls"), content)
    if found.auths:
        line = content.line(("auths",))
        yield Problem(line, "containerd ignores `auths`; move its entries to `configs`")


def _of_endpoints(
    addresses: Sequence[str], path: yaml_lines.Path, content: Content
) -> Iterator[Problem]:
    for at, address in enumerate(addresses):
        line = content.line((*path, at))
        try:
            endpoints.parsed(address)
        except ValueError as error:
            shown = endpoints.without_password(address)
            yield Problem(line, f"K3s ignores the endpoint `{shown}`: {error}")
        if address in addresses[:at]:
            yield Problem(line, "K3s ignores the endpoint: it occurs twice for this registry")


def _of_hub(found: Form, content: Content, release: Version) -> Iterator[Problem]:
    host = found.configs.get(endpoints.HUB)
    if host is None or endpoints.HUB_SERVER in found.configs:
        return
    line = content.line(("configs", endpoints.HUB))
    text = f"K3s {release} uses the credentials of Docker Hub only as `{endpoints.HUB_SERVER}`"
    yield Problem(line, text)


def _of_host(name: str, path: yaml_lines.Path, content: Content) -> Iterator[Problem]:
    if name == EVERY:
        return
    if "/" in name:
        text = f"`{endpoints.without_password(name)}` is an address; the key must be HOST[:PORT]"
        yield Problem(content.line(path), text)
        return
    try:
        endpoints.parsed(name)
    except ValueError as error:
        shown = endpoints.without_password(name)
        yield Problem(content.line(path), f"`{shown}` is not HOST[:PORT]: {error}")
    if name in {"index.docker.io", "hub.docker.com"}:
        text = f"`{name}` is not the name of Docker Hub in images; use docker.io"
        yield Problem(content.line(path), text)


def _of_auth(auth: Auth, path: yaml_lines.Path, content: Content) -> Iterator[Problem]:
    if auth.auth and not (auth.username or auth.password) and _decoded(auth.auth) is None:
        line = content.line((*path, "auth"))
        yield Problem(line, "`auth` must be the base64 text of USER:PASSWORD")
    if auth.username and not auth.password and not auth.identity_token:
        yield Problem(content.line((*path, "username")), "the password is missing")
    if auth.password and not auth.username:
        yield Problem(content.line((*path, "password")), "the user name is missing")


def _of_tls(tls: TlsFiles, path: yaml_lines.Path, content: Content) -> Iterator[Problem]:
    if bool(tls.cert_file) != bool(tls.key_file):
        yield Problem(content.line(path), "`cert_file` and `key_file` need each other")
    for key in ("ca_file", "cert_file", "key_file"):
        text = getattr(tls, key)
        if text and not text.startswith("/"):
            yield Problem(content.line((*path, key)), f"`{key}` must be an absolute path")
