"""Read what the check of a value depends on: the release, networks, directories, other values."""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import networks as routes
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations import server_settings
from k3s_rootless.operations.environment import reading
from k3s_rootless.service.environment import go_values, variables
from k3s_rootless.service.environment.pending import PREFIX, TWINS
from k3s_rootless.service.environment.variables import Judgement, Network, Surroundings

if TYPE_CHECKING:
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.environment.reading import ObservedEnvironment


def read(context: Context) -> tuple[ObservedEnvironment, Surroundings]:
    """Return the environment of K3s, and what the checks of its values depend on.

    Raises RootlessError.
    """
    with context.manager() as manager:
        seen = reading.read(context, manager)
    return seen, of(context, seen, seen.values(), seen.version)


def of(
    context: Context, seen: ObservedEnvironment, values: Mapping[str, str], version: Version | None
) -> Surroundings:
    """Return what the checks of values depend on; a notice reports what could not be read."""
    settings = server_settings.of_next_start(context, seen.state, seen.sources.manager)
    networks = list(_of_cluster(settings))
    try:
        networks += _of_host()
    except RootlessError as error:
        context.notice(f"cannot read which networks this host uses: {error.message}")
    return Surroundings(version, tuple(networks), _directories(context.paths.home, values), values)


def alone(values: Mapping[str, str], home: Path, version: Version | None = None) -> Surroundings:
    """Return the surroundings without networks, enough to find values that K3s does not accept.

    K3s runs in the directory `home`.
    """
    return Surroundings(version, directories=_directories(home, values), values=values)


def judged(name: str, value: str | None, around: Surroundings) -> Judgement:
    """Return how K3s treats the value of a variable.

    If no network is set, this is the result for K3s's default network.
    """
    if name in variables.VARIABLES:
        return _judged_variable(name, value, around)
    if name in TWINS:
        capitals = TWINS[name]
        found = variables.judge(capitals, value or "", around)
        condition = f"it is used only if {capitals} is empty"
        return Judgement(found.effect, found.reason, (condition, *found.warnings))
    effect = variables.Effect.UNREAD
    if name.startswith(variables.INTERNAL):
        effect = variables.Effect.FATAL
    return Judgement(effect, variables.unknown(name))


def _judged_variable(name: str, value: str | None, around: Surroundings) -> Judgement:
    if not value and name == f"{PREFIX}CIDR":
        value = variables.CHILD_NETWORK
    if not value:
        return Judgement()
    return variables.judge(name, value, around)


def _of_cluster(settings: Settings) -> Iterator[Network]:
    for given, owner in ((settings.cluster_cidr, "Pods"), (settings.service_cidr, "Services")):
        for text in given.split(","):
            found = go_values.network(text.strip())
            if found is None or found[0].version != 4:
                continue
            network = ipaddress.ip_network((int(found[0]), found[1]), strict=False)
            yield Network(str(network), owner)


def _of_host() -> Iterator[Network]:
    for network, interface in routes.networks().items():
        yield Network(network, f"{interface} of this host" if interface else "this host")


def _directories(home: Path, values: Mapping[str, str]) -> dict[str, Observed[bool]]:
    """Return whether each directory in K3S_ROOTLESS_COPYUPDIRS exists."""
    named = variables.directories(values.get(f"{PREFIX}COPYUPDIRS", ""))
    return {name: _directory(home, name) for name in named}


def _directory(home: Path, name: str) -> Observed[bool]:
    # K3s runs in the home directory, like other services of the user.
    path = home / name
    try:
        return Known(stat.S_ISDIR(path.stat().st_mode), str(path))
    except (FileNotFoundError, NotADirectoryError):
        return Known(value=False, source=str(path))
    except OSError as error:
        return Unknown(f"{path}: {(error.strerror or str(error)).lower()}")
