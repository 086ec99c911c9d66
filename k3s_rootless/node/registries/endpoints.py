"""The servers that containerd requests for a registry, in their order.

Source: K3s pkg/agent/containerd/config.go (normalizeEndpointAddress, getHostConfigs), v1.29 to
v1.36; containerd core/remotes/docker (DefaultHost, IsLocalhost).
"""

from __future__ import annotations

import ipaddress
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult

from k3s_rootless import web_address
from k3s_rootless.node.registries.facts import Config, Endpoint, Registries

HUB = "docker.io"
HUB_SERVER = "registry-1.docker.io"
_USUAL_PATHS = frozenset({"", "/", "/v2", "/v2/"})
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """An endpoint as K3s reads it; `name` is the key of its settings in `configs`."""

    scheme: str
    host: str
    port: int | None
    path: str
    name: str


def parsed(text: str) -> Address:
    """Read an endpoint, with or without a scheme. Raises ValueError with the reason."""
    url = _split(text)
    port, host, name = url.port, url.hostname or "", url.netloc
    scheme = url.scheme or _scheme(host, port)
    path = url.path.rstrip("/")
    if url.path in _USUAL_PATHS:
        path = "/v2"
    if name in {HUB, HUB_SERVER}:
        name, host = HUB, HUB_SERVER
    return Address(scheme, host, port, path, name)


def _split(text: str) -> SplitResult:
    """Return the parts of an endpoint. Raises ValueError with the reason."""
    if not text.isprintable() or " " in text:
        raise ValueError("it contains spaces or unprintable characters")
    if "://" not in text:
        text = f"//{text}"
    url = web_address.split(text)
    if not url.hostname:
        raise ValueError("it has no host")
    if url.scheme not in {"", "http", "https"}:
        raise ValueError("its scheme is neither http nor https")
    if url.query or url.fragment or "@" in url.netloc:
        raise ValueError("it must only have a scheme, a host, a port and a path")
    return url


def of_registry(
    found: Registries, registry: str, *, without_default: bool = False
) -> tuple[Endpoint, ...]:
    """Return the endpoints of a registry: its mirrors, and then the registry itself.

    `without_default` is K3s's flag `disable-default-registry-endpoint`: a registry with mirrors is
    then not requested itself. Endpoints that K3s ignores are left out.
    """
    mirror = found.mirrors.get(registry)
    listed: dict[str, Endpoint] = {}
    for text in mirror.endpoints if mirror else ():
        one = _endpoint(found, registry, text, default=False)
        if one is not None:
            listed.setdefault(one.url, one)
    hidden = without_default and mirror is not None and registry not in found.configs
    itself = None
    if registry != "*" and not hidden:
        itself = _endpoint(found, registry, registry, default=True)
    if itself is not None:
        listed.setdefault(itself.url, itself)
    return tuple(listed.values())


def without_password(text: str) -> str:
    """Return an address without the password in it."""
    # Some characters are read as `@`.
    if unicodedata.normalize("NFKC", text).count("@") != text.count("@"):
        return "***"
    before, at, after = text.rpartition("@")
    if not at:
        return text
    scheme, separator, _ = before.partition("://")
    if not separator:
        return f"***@{after}"
    return f"{scheme}{separator}***@{after}"


def is_loopback(host: str) -> bool:
    """Return whether a host is the loopback of the network namespace of the client."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _endpoint(found: Registries, registry: str, text: str, *, default: bool) -> Endpoint | None:
    try:
        address = parsed(text)
    except ValueError:
        return None
    return Endpoint(
        registry,
        address.scheme,
        address.host,
        address.port,
        address.path,
        address.name,
        default,
        _config(found.configs, address.name),
    )


def _config(configs: Mapping[str, Config], name: str) -> Config:
    if name == HUB and HUB_SERVER in configs:
        return configs[HUB_SERVER]
    return configs.get(name, Config())


def _scheme(host: str, port: int | None) -> str:
    if is_loopback(host) and port not in {None, DEFAULT_PORTS["https"]}:
        return "http"
    return "https"
