"""The command line and the directory of a unit that is not installed yet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.paths import UNIT
from k3s_rootless.service.drop_ins import drop_in
from k3s_rootless.service.observe import files

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.paths import Paths
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.systemd.user import UserManager


def foreseen(state: UnitState, directory: Path) -> UnitState:
    """Return the unit with the arguments of its first start; an installed unit is unchanged.

    systemd does not read the drop-ins of a unit that does not exist, and `up` adds the arguments
    that `config` has set to the unit that it writes.
    """
    if state.installed or state.argv or state.load_state == "masked":
        return state
    # Imported here: loading takes 3 ms, and an installed unit does not need it.
    from k3s_rootless.service.drop_ins import configuration

    drop_ins = directory / f"{UNIT}{drop_in.DIRECTORY_SUFFIX}"
    try:
        text = files.read(drop_ins / drop_in.name(configuration.SUBJECT)).text
    except RootlessError:
        return state  # `up` reads this file, too, and reports the error
    return replace(state, argv=configuration.arguments(configuration.parse(text or "")))


def unit_directory(manager: UserManager, paths: Paths) -> Path:
    """Return the directory where this user manager looks for the user's own units.

    The user manager is queried because its XDG_CONFIG_HOME can differ from the one in this shell.
    Its unit path begins with `user.control` below the configuration directory (systemd 247 to 262),
    and the directory of the user's own units is next to it.
    """
    for path in manager.unit_path:
        if path.name == "user.control" and not path.is_relative_to(paths.runtime):
            return path.with_name("user")
    return paths.user_units
