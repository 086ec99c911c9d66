"""Records of K3s's registries.yaml, and of the answers of registries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in the file; `line` is None if it concerns the file as a whole.

    If `fatal`, K3s does not become ready with this file; otherwise it ignores a part of it.
    """

    line: int | None
    text: str
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials for a registry; `identity` is a refresh token (OAuth 2.0)."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity: str = field(default="", repr=False)

    @property
    def given(self) -> bool:
        """Whether there are credentials."""
        return bool(self.username or self.password or self.identity)


@dataclass(frozen=True, slots=True)
class Tls:
    """How the certificate of a registry is verified, and the certificate of the client."""

    authority: str = ""
    certificate: str = ""
    key: str = ""
    skip_verify: bool = False

    @property
    def given(self) -> bool:
        """Whether anything differs from the default."""
        return bool(self.authority or self.certificate or self.key or self.skip_verify)


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one registry host."""

    credentials: Credentials = Credentials()
    tls: Tls = Tls()


@dataclass(frozen=True, slots=True)
class Mirror:
    """The endpoints from which the images of a registry are pulled, in this order."""

    endpoints: tuple[str, ...] = ()
    rewrites: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Registries:
    """The content of registries.yaml; a file with a fatal problem has none."""

    mirrors: Mapping[str, Mirror] = field(default_factory=dict)
    configs: Mapping[str, Config] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The registries of the file, each once, in the order of the file."""
        return tuple(dict.fromkeys((*self.mirrors, *self.configs)))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server that containerd requests for the images of `registry`.

    `name` is the key of its settings in `configs`. `default` is true for the registry itself, which
    containerd requests after its mirrors. `path` ends without a slash.
    """

    registry: str
    scheme: str
    host: str
    port: int | None
    path: str
    name: str
    default: bool = False
    config: Config = Config()

    @property
    def url(self) -> str:
        """The address of the API of the registry."""
        host = self.host
        if ":" in host:
            host = f"[{host}]"
        port = ""
        if self.port is not None:
            port = f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}/"


class State(Enum):
    """What a request to a registry showed."""

    READY = "ready"
    NEEDS_CREDENTIALS = "credentials required"
    DENIED = "credentials refused"
    UNREACHABLE = "not reachable"
    TLS = "TLS failed"
    OTHER = "no registry"
    UNKNOWN = "not checked"


@dataclass(frozen=True, slots=True)
class Reply:
    """The result of a request; `detail` is what the server answered, or why there is no answer."""

    state: State
    detail: str
    authentication: str = ""


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxy variables of containerd."""

    http: str = field(default="", repr=False)
    https: str = field(default="", repr=False)
    exceptions: str = ""
