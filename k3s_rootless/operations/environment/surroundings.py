"""What values of K3s's environment are judged beside: the release, networks in use, directories,
and each other.
"""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations import server_settings
from k3s_rootless.service.environment import variables
from k3s_rootless.service.environment.pending import PREFIX, TWINS

if TYPE_CHECKING:
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.environment.look import Seen
    from k3s_rootless.service.environment.variables import Judgement, Network, Surroundings


def of(
    context: Context, seen: Seen, values: Mapping[str, str], version: Version | None
) -> Surroundings:
    """Give what values are judged beside; says on stderr what could not be looked at."""
    from k3s_rootless.service.environment.variables import Surroundings

    networks: tuple[Network, ...] = tuple(
        _of_cluster(server_settings.of_next_start(context, seen.state, seen.sources.manager))
    )
    try:
        networks += tuple(_of_host())
    except RootlessError as error:
        context.notice(f"could not tell which networks are in use here: {error.message}")
    named = variables.directories(values.get(f"{PREFIX}COPYUPDIRS", ""))
    return Surroundings(
        version, networks, {name: _directory(context.paths.home, name) for name in named}, values
    )


def alone(values: Mapping[str, str], home: Path, version: Version | None = None) -> Surroundings:
    """Return them without networks, to find what K3s dies of or does not take; K3s runs in the
    directory `home`.
    """
    from k3s_rootless.service.environment.variables import Surroundings

    named = variables.directories(values.get(f"{PREFIX}COPYUPDIRS", ""))
    directories = {name: _directory(home, name) for name in named}
    return Surroundings(version, directories=directories, values=values)


def judged(name: str, value: str | None, around: Surroundings) -> Judgement:
    """Tell what K3s makes of a value, whatever the name; of its own network too, where none is
    set.
    """
    if name in variables.VARIABLES:
        own = variables.CHILD_NETWORK if name == f"{PREFIX}CIDR" else ""
        return (
            variables.judge(name, value or own, around) if value or own else variables.Judgement()
        )
    value = value or ""
    if name in TWINS:
        capitals = TWINS[name]
        found = variables.judge(capitals, value, around)
        words = f"Go reads it where {capitals} is empty"
        return variables.Judgement(found.effect, found.reason, (words, *found.warnings))
    effect = (
        variables.Effect.FATAL if name.startswith(variables.INTERNAL) else variables.Effect.UNREAD
    )
    return variables.Judgement(effect, variables.unknown(name))


def _of_cluster(settings: Settings) -> Iterator[Network]:
    from k3s_rootless.service.environment import go_values
    from k3s_rootless.service.environment.variables import Network

    for given, whose in ((settings.cluster_cidr, "Pods"), (settings.service_cidr, "Services")):
        for text in given.split(","):
            found = go_values.network(text.strip())
            if found and found[0].version == 4:
                yield Network(
                    str(ipaddress.ip_network((int(found[0]), found[1]), strict=False)), whose
                )


def _of_host() -> Iterator[Network]:
    from k3s_rootless.linux import networks as routes
    from k3s_rootless.service.environment.variables import Network

    for network, interface in routes.networks().items():
        yield Network(network, f"{interface} of this host" if interface else "this host")


def _directory(home: Path, name: str) -> Observed[bool]:
    # K3s runs in the home directory, as services of the user do.
    path = home / name
    try:
        return Known(stat.S_ISDIR(path.stat().st_mode), str(path))
    except (FileNotFoundError, NotADirectoryError):
        return Known(value=False, source=str(path))
    except OSError as error:
        return Unknown(f"{path}: {(error.strerror or str(error)).lower()}")
