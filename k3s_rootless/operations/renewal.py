"""Rebuild our drop-ins for a changed unit, with all their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.operations import installation
from k3s_rootless.service.drop_ins import configuration, drop_in, environment
from k3s_rootless.service.facts import DesiredDropIn
from k3s_rootless.service.observe import files
from k3s_rootless.service.plan import planner
from k3s_rootless.service.unit.seal import Author, author

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import DesiredUnit, FoundFile
    from k3s_rootless.service.plan.steps import Step


def steps(context: Context, desired: DesiredUnit, *, force: bool) -> tuple[Step, ...]:
    """Return the steps that rebuild our drop-ins for the new unit.

    Reports the drop-ins that were edited; without `force`, they are kept. Raises RootlessError if a
    drop-in cannot be read.
    """
    found: list[Step] = []
    for file, rendered in rebuilt(desired):
        if not force and file.text is not None and author(file.text) is not Author.OURS:
            context.notice(f"kept {file.path}: it was {author(file.text).value}")
        found += planner.renewal(rendered, file, force=force)
    return tuple(found)


def rebuilt(desired: DesiredUnit) -> tuple[tuple[FoundFile, DesiredDropIn], ...]:
    """Return our existing drop-ins, each with the text that it should have for this unit.

    The text contains all settings of the drop-in and nothing else. Raises RootlessError if a
    drop-in cannot be read.
    """
    directory = desired.path.parent
    names = files.names(installation.drop_in_directory(directory)) or ()
    if not any(map(drop_in.is_ours, names)):
        return ()

    def settings(text: str) -> str | None:
        return configuration.render(
            configuration.parse(text), configuration.command_words(desired.text)
        )

    def variables(text: str) -> str | None:
        return environment.render(environment.read(text))

    kinds = (
        (configuration.SUBJECT, settings, configuration.MODE),
        (environment.SUBJECT, variables, environment.MODE),
    )
    found = []
    for subject, render, mode in kinds:
        file = installation.drop_in(directory, subject)
        if file.text is not None:
            found.append((file, DesiredDropIn(file.path, render(file.text), mode)))
    return tuple(found)
