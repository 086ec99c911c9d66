"""What the command line and environment of a running K3s say about its paths and ports.

K3s takes a flag as `--flag value`, `--flag=value` or, for short ones, `-d value`; a flag beats its variable
(K3s pkg/cli/cmds/server.go, v1.21 to v1.36).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HTTPS_PORT = 6443
POD_RANGE = "10.42.0.0/16"
SERVICE_RANGE = "10.43.0.0/16"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where this server keeps its files and which port its API has; the same port inside and on the host, never offset.

    `snapshotter` and `config` are empty where neither flag nor variable names one; CIDRs can be lists of two, as K3s has them.
    """

    data: Path
    kubeconfig: Path
    https_port: int = HTTPS_PORT
    servicelb: bool = True
    traefik: bool = True
    snapshotter: str = ""
    cluster_cidr: str = POD_RANGE
    service_cidr: str = SERVICE_RANGE
    node_name: str = ""
    config: str = ""
    selinux: bool = False

    @classmethod
    def of(cls, argv: Sequence[str], environ: Mapping[str, str], home: Path) -> ServerSettings:
        """Read ExecStart's arguments and the unit's environment; what they do not say is K3s's default."""
        data = _last(argv, "data-dir", "d") or environ.get("K3S_DATA_DIR")
        kubeconfig = _last(argv, "write-kubeconfig", "o") or environ.get("K3S_KUBECONFIG_OUTPUT")
        port = _last(argv, "https-listen-port")
        return cls(
            data=_expanded(data, home) if data else home / ".rancher" / "k3s",
            kubeconfig=_expanded(kubeconfig, home) if kubeconfig else home / ".kube" / "k3s.yaml",
            https_port=_port(port),
            servicelb="servicelb" not in disabled(argv),
            traefik="traefik" not in disabled(argv),
            snapshotter=_last(argv, "snapshotter") or "",
            cluster_cidr=",".join(values(argv, "cluster-cidr")) or POD_RANGE,
            service_cidr=",".join(values(argv, "service-cidr")) or SERVICE_RANGE,
            node_name=_last(argv, "node-name") or environ.get("K3S_NODE_NAME", ""),
            # The variable beats the flag here (K3s pkg/configfilearg), and only here.
            config=environ.get("K3S_CONFIG_FILE") or _last(argv, "config", "c") or "",
            selinux=_on(argv, "selinux", environ.get("K3S_SELINUX", "")),
        )


def disabled(argv: Sequence[str]) -> frozenset[str]:
    """Give the packaged components that the arguments leave out."""
    return frozenset(part.strip() for value in values(argv, "disable", "no-deploy") for part in value.split(","))


def values(argv: Sequence[str], *names: str) -> list[str]:
    """Give the values of a flag, in order; `names` are all that it has, short ones too, without dashes."""
    found = []
    for index, word in enumerate(argv):
        name, equals, value = word.partition("=")
        # Go's flag package, which reads them for K3s, tells one dash from two no more than this.
        if name.startswith("-") and name.lstrip("-") in names:
            found.append(value if equals else "".join(argv[index + 1 : index + 2]))
    return found


def _on(argv: Sequence[str], name: str, variable: str) -> bool:
    words = [word.lstrip("-") for word in argv if word.startswith("-")]
    return name in words or f"{name}=true" in words or (f"{name}=false" not in words and variable.lower() in {"1", "t", "true"})


def _last(argv: Sequence[str], *names: str) -> str | None:
    found = values(argv, *names)
    return found[-1] if found else None


def _port(text: str | None) -> int:
    # With a value that is no port K3s does not start; there is nothing better to expect than its default.
    if text and text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536:
        return int(text)
    return HTTPS_PORT


def _expanded(path: str, home: Path) -> Path:
    # K3s expands these three itself, since systemd does not (K3s pkg/datadir, resolvehome).
    for prefix in ("~", "$HOME", "${HOME}"):
        if path == prefix or path.startswith(f"{prefix}/"):
            return home / path[len(prefix) :].lstrip("/")
    # A relative path starts in the directory of the service, which for a unit of the user is the home directory.
    return home / path
