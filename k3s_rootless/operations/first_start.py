"""What K3s will be started with before there is a unit, and where the unit will be."""

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
    """Return a unit that does not exist yet with the arguments that `config` has set for it; a unit
    that exists stays as it is.

    systemd reads no drop-in of a unit that it does not find, and `up` builds what was set into the
    unit that it writes.
    """
    if state.installed or state.argv or state.load_state == "masked":
        return state
    # Here, since this takes 3 ms, and a unit that is installed does not need it.
    from k3s_rootless.service.drop_ins import configuration

    drop_ins = directory / f"{UNIT}{drop_in.DIRECTORY_SUFFIX}"
    try:
        text = files.read(drop_ins / drop_in.name(configuration.SUBJECT)).text
    except RootlessError:
        return state  # `up` reads it as well, and fails
    return replace(state, argv=configuration.arguments(configuration.parse(text or "")))


def unit_directory(manager: UserManager, paths: Paths) -> Path:
    """Return the directory where this user manager looks for the user's own units.

    The manager is queried, since it may run with another XDG_CONFIG_HOME than this shell: its unit
    path begins with `user.control` below the configuration directory (systemd 247 to 262), and the
    user's own units are beside that.
    """
    for path in manager.unit_path:
        if path.name == "user.control" and not path.is_relative_to(paths.runtime):
            return path.with_name("user")
    return paths.user_units
