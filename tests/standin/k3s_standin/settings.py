"""K3S_ROOTLESS_*: the values that K3s accepts, warns about or refuses.

Source: K3s pkg/rootless/rootless.go, portdriver.go.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import goparse
from .journal import Fatal
from .release import Release

DEFAULT_CIDR = "10.41.0.0/16"
_MAX_MTU = 65521

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """Settings that the parent passes to rootlesskit."""

    mtu: int = 0
    cidr: str = DEFAULT_CIDR
    ipv6: bool = False
    port_driver: str = "builtin"
    disable_host_loopback: bool = True
    copy_up: tuple[str, ...] = ()


def read(
    environment: Mapping[str, str], release: Release, *, dual_stack: bool, warn: Warn
) -> Settings:
    """Return the settings of an environment by the rules of a release.

    Raises Fatal where K3s exits.
    """
    copy_up = tuple(_copy_up(environment)) if release.reads_copyupdirs else ()
    if not release.reads_rootless_environment:
        return Settings(copy_up=copy_up)
    return Settings(
        mtu=_mtu(environment, warn),
        cidr=_cidr(environment, release),
        ipv6=_boolean(environment, "ENABLE_IPV6", "enable-ipv6", warn, default=dual_stack),
        port_driver=_port_driver(environment, warn),
        disable_host_loopback=_boolean(
            environment, "DISABLE_HOST_LOOPBACK", "disable-host-loopback", warn, default=True
        ),
        copy_up=copy_up,
    )


def is_dual_stack(node_ips: list[str]) -> bool:
    """Return whether --node-ip holds addresses of both families."""
    families = set()
    for text in node_ips:
        try:
            families.add(ipaddress.ip_address(text.strip()).version)
        except ValueError:
            continue
    return len(families) == 2


def _mtu(environment: Mapping[str, str], warn: Warn) -> int:
    text = environment.get("K3S_ROOTLESS_MTU", "")
    if not text:
        return 0
    try:
        mtu = goparse.parse_int(text)
    except goparse.GoError:
        warn("Failed to parse rootless mtu value; using default")
        return 0
    if mtu < 0:
        raise Fatal("got negative mtu")
    if mtu > _MAX_MTU:
        # rootlesskit's command line refuses this value with another message. K3s lets slirp4netns
        # try it.
        command = f"slirp4netns --mtu {mtu} -r 3 --disable-host-loopback --cidr {DEFAULT_CIDR}"
        raise Fatal(
            f"failed to setup network: waiting for ready fd ({command}): slirp4netns failed"
        )
    return mtu


def _cidr(environment: Mapping[str, str], release: Release) -> str:
    text = environment.get("K3S_ROOTLESS_CIDR", "")
    if not text:
        return DEFAULT_CIDR
    try:
        address, network = goparse.parse_cidr(text)
    except goparse.GoError as error:
        raise Fatal(str(error)) from None
    if address != network.network_address:
        if release.new_cidr_message:
            raise Fatal("host identifier bits must not be set in CIDR prefix")
        raise Fatal("cidr must be like 10.0.2.0/24, not like 10.0.2.100/24")
    return str(network)


def _boolean(
    environment: Mapping[str, str], name: str, what: str, warn: Warn, *, default: bool
) -> bool:
    text = environment.get(f"K3S_ROOTLESS_{name}", "")
    if not text:
        return default
    try:
        return goparse.parse_bool(text)
    except goparse.GoError:
        warn(f"Failed to parse rootless {what} value; using default")
        return default


def _port_driver(environment: Mapping[str, str], warn: Warn) -> str:
    text = environment.get("K3S_ROOTLESS_PORT_DRIVER", "")
    if text and text.lower() not in {"builtin", "slirp4netns"}:
        warn(f"Unsupported port driver {text}; using default builtin")
        return "builtin"
    return text.lower() or "builtin"


def _copy_up(environment: Mapping[str, str]) -> list[str]:
    text = environment.get("K3S_ROOTLESS_COPYUPDIRS", "")
    # rootlesskit's library cleans each path; its command line would drop an empty one, which means
    # the working directory.
    return (
        [str(Path.cwd()) if item in {"", "."} else goparse.clean(item) for item in text.split(",")]
        if text
        else []
    )


def check_copy_up(directories: Iterable[str]) -> None:
    """Raise Fatal for a directory that rootlesskit cannot copy up, with its message.

    The check runs before rootlesskit starts: when its child exits, the parent of rootlesskit 2.0.2
    waits forever.
    """
    for directory in directories:
        if directory == "/tmp":
            raise Fatal("/tmp cannot be copied up")
        if not Path(directory).exists():
            raise Fatal(f"failed to create bind mount on {directory}: no such file or directory")
        if not Path(directory).is_dir():
            raise Fatal(f"failed to create bind mount on {directory}: not a directory")
