"""Ask the user before `uninstall --purge` removes anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from k3s_rootless import byte_size
from k3s_rootless.operations import consent
from k3s_rootless.operations.consent import Ask

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.releases.all_releases import Downloaded


def backups(context: Context) -> Path | None:
    """Return the directory of backups, which a purge keeps; None if it contains nothing."""
    directory = context.paths.backups
    try:
        found = any(directory.iterdir())
    except OSError:
        return None
    if not found:
        return None
    return directory


def require(data: Sequence[Path], releases: Downloaded | None, kept: Path | None, ask: Ask) -> None:
    """Ask whether data and releases may be removed; `kept` is the directory of backups.

    Raises UsageError if no user can answer, RootlessError if the user does not consent.
    """
    names = [str(one) for one in data]
    parts = [f"{one}, including the cluster and all its volumes" for one in data]
    if releases is not None:
        names.append(str(releases.directory))
        parts.append(f"{releases.directory}, the downloaded releases of K3s ({_of(releases)})")
    if not parts:
        return
    question = f"Permanently remove {'; and '.join(parts)}?"
    if kept is not None:
        question += f" The backups in {kept} are kept."
    consent.require(
        ask,
        question,
        unanswered=(
            f"cannot ask for confirmation to remove {' and '.join(names)}: there is no terminal"
        ),
        hint="to remove it without a question, add --yes",
        refused="nothing was removed",
    )


def _of(releases: Downloaded) -> str:
    return f"{', '.join((*releases.versions, byte_size.text(releases.size)))}"
