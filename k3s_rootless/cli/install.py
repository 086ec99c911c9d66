"""Brings together what a plan is made of: the unit as it should be, and what was found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.errors import PreflightFailed
from k3s_rootless.observation import Known
from k3s_rootless.paths import UNIT, Paths
from k3s_rootless.release import features
from k3s_rootless.service import dropin, files, unit
from k3s_rootless.service.facts import DesiredUnit, Found, UnitSettings

if TYPE_CHECKING:
    from k3s_rootless.preflight.facts import Facts
    from k3s_rootless.service.facts import FoundFile, UnitState
    from k3s_rootless.service.systemd import UserManager


def desired(facts: Facts, directory: Path) -> DesiredUnit:
    """Render the unit for the K3s that was found. Raises PreflightFailed where there is none to render for."""
    # Here, since most commands that ask about the unit need no preflight.
    from k3s_rootless.cli.host import unit_search

    release, binary = facts.k3s.version, facts.k3s.path
    if not isinstance(release, Known) or binary is None:
        reason = "its version is not known" if binary else "there is no k3s binary"
        raise PreflightFailed(f"cannot render the unit: {reason}", hint="see `k3s-rootless check k3s`")
    variant = features.unit_variant(release.value)
    if variant is None:
        raise PreflightFailed(
            f"cannot render the unit: K3s {release.value} ships none for rootless mode", hint="use K3s v1.22 or later"
        )
    settings = UnitSettings(version=str(release.value), server=variant.value, binary=binary, search=unit_search())
    return DesiredUnit(path=directory / UNIT, text=unit.render(settings), version=str(release.value))


def unit_directory(manager: UserManager, paths: Paths) -> Path:
    """Give the directory where this user manager looks for the user's own units.

    It is asked, since it may run with another XDG_CONFIG_HOME than this shell: its unit path begins with `user.control` below
    the configuration directory (systemd 247 to 262), and the user's own units lie beside that.
    """
    for path in manager.unit_path:
        if path.name == "user.control" and not path.is_relative_to(paths.runtime):
            return path.with_name("user")
    return paths.user_units


def found(manager: UserManager, path: Path, *, reexecute: bool = False) -> Found:
    """Observe the unit file and the unit, before a plan is made."""
    file = files.read(path)
    return Found(text=file.text, written=file.written, state=manager.unit(UNIT), reexecute=reexecute)


def drop_in_directory(directory: Path) -> Path:
    """Give the directory of the unit's drop-ins, in the directory of the user's own units."""
    return directory / f"{UNIT}{dropin.DIRECTORY_SUFFIX}"


def drop_in(directory: Path, subject: str) -> FoundFile:
    """Read our drop-in about a subject. Raises RootlessError."""
    return files.read(drop_in_directory(directory) / dropin.name(subject))


def drop_ins(directory: Path, state: UnitState) -> tuple[FoundFile, ...]:
    """Read all drop-ins of the unit, ours and those of others. Raises RootlessError."""
    return files.drop_ins(drop_in_directory(directory), state)
