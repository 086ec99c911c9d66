"""Prepare the content of a backup for other directories, another user, and another machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.backup import contents, moving, new_content
from k3s_rootless.backup.facts import UNKNOWN, Backup, Entry, Expected, Manifest, Root, Slot
from k3s_rootless.backup.manifest import split
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import config_file, layout, options
from k3s_rootless.k3s.origin import Source
from k3s_rootless.operations import installation
from k3s_rootless.operations.backup import volume_objects
from k3s_rootless.printable import printable
from k3s_rootless.service.drop_ins import configuration, drop_in, environment, limits
from k3s_rootless.service.environment.variables import VARIABLES

if TYPE_CHECKING:
    from k3s_rootless.backup.moving import Paths
    from k3s_rootless.operations.backup.surroundings import Surroundings
    from k3s_rootless.operations.context import Context

_NODE_NAME = "K3S_NODE_NAME"
_VARIABLES = frozenset((*VARIABLES, _NODE_NAME, config_file.VARIABLE))
"""What our drop-in can set: another variable, such as LD_PRELOAD, could run any program."""
_DATA = "data-dir"
_LARGEST_TEXT = 2**20
_TEXTS = (
    f"{Root.HOME.value}/",
    f"{Root.UNIT.value}/",
    f"{Root.DATA.value}/etc/rancher/",
    f"{Root.DATA.value}/{layout.CONTAINERD_CONFIGURATION}/",
)
_ENVIRONMENT = f"{Root.UNIT.value}/{drop_in.name(environment.SUBJECT)}"
_CONFIGURATION = f"{Root.UNIT.value}/{drop_in.name(configuration.SUBJECT)}"


@dataclass(frozen=True, slots=True)
class Adapted:
    """What is restored instead of the content of a backup.

    `contents` are prepared files by the entry that they replace, and `added` are paths that the
    backup does not contain. `lines` describe the changes, and `warnings` what is not changed.
    `config` is the configuration file that K3s reads after the restore.
    """

    contents: Mapping[str, Path] = field(default_factory=dict)
    added: tuple[Slot, ...] = ()
    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    config: str | None = None
    expected: Expected = UNKNOWN

    def slots(self, found: tuple[Slot, ...]) -> tuple[Slot, ...]:
        """Return the paths that a restore replaces, with the changes."""
        added = {one.path: one for one in self.added}
        kept = [self._without_log(one) for one in found if one.path not in added]
        return (*kept, *added.values())

    def _without_log(self, slot: Slot) -> Slot:
        logs = {f"{contents.SQLITE}-wal", f"{contents.SQLITE}-shm"}
        if contents.SQLITE in self.contents and slot.entry in logs:
            # The log is already part of the prepared database.
            return Slot(slot.path, slot.entry)
        return slot


UNCHANGED = Adapted()


def is_text(entry: Entry) -> bool:
    """Return whether an entry can contain paths that must be adapted."""
    return entry.name.startswith(_TEXTS) and entry.size <= _LARGEST_TEXT


def adapt(
    context: Context, backup: Backup, here: Surroundings, folder: Path, *, volumes: bool
) -> Adapted:
    """Prepare the files that differ from those of the backup, in `folder`.

    `folder` contains the database and the texts of the backup. `volumes` is True if the volumes of
    the backup are restored, and if each PersistentVolume must have data here. Raises RootlessError
    if the backup cannot be adapted.
    """
    return _Adapting(context, backup, here, folder).run(volumes=volumes)


class _Adapting:
    def __init__(self, context: Context, backup: Backup, here: Surroundings, folder: Path) -> None:
        self.context = context
        self.backup = backup
        self.here = here
        self.folder = folder
        self.paths: Paths = moving.paths(backup.manifest, here.origin)
        self.contents: dict[str, Path] = {}
        self.lines: list[str] = []
        self.warnings: list[str] = []

    @property
    def manifest(self) -> Manifest:
        return self.backup.manifest

    def run(self, *, volumes: bool) -> Adapted:
        changes = tuple(moving.changes(self.manifest, self.here.origin))
        self.lines += changes
        if changes:
            self._require_possible()
        found = volume_objects.move(self.folder, self.backup, self.paths, volumes=volumes)
        self.lines += found.lines
        self.warnings += found.warnings
        if found.changed:
            self.contents[contents.SQLITE] = self.folder / contents.SQLITE
        assigned = self._assignments()
        config = None
        if changes:
            self._adapt_texts()
            config = assigned.get(config_file.VARIABLE)
        # Always rendered from what was read: systemd runs programs that a drop-in names.
        added = (*self._adapt_command(), *self._adapt_environment(assigned))
        return Adapted(
            self.contents,
            added,
            tuple(self.lines),
            tuple(self.warnings),
            config,
            Expected(str(self.here.data), self.manifest.origin.node),
        )

    def _require_possible(self) -> None:
        why = [*moving.problems(self.paths)]
        if self.here.settings.switch("with-node-id"):
            why.append("K3s adds an id to the name of the node (with-node-id)")
        given = self.here.settings.value("node-name")
        fixed = given.origin.source in {Source.COMMAND_LINE, Source.CONFIG_FILE}
        if fixed and given.text.lower() != self.manifest.origin.node:
            why.append(
                f"node-name is {given.text} here, and the node of the backup is"
                f" {self.manifest.origin.node}; set node-name to this name, or unset it"
            )
        if why:
            raise RootlessError(f"cannot restore `{self.backup.path}`: {'; '.join(why)}")

    def _adapt_texts(self) -> None:
        for entry in self.manifest.entries:
            if not is_text(entry) or entry.name in {_ENVIRONMENT, _CONFIGURATION}:
                continue
            before = self._text(entry.name)
            after = self.paths.replaced(before)
            if after != before:
                self._put(entry.name, after, new_content.mode(entry.name), entry.modified)
                self.lines.append(f"paths are replaced in {split(entry.name)[1]}")

    def _adapt_command(self) -> Iterator[Slot]:
        """Build the drop-in of `config set` again: it contains the command of the unit.

        A data directory that is set here stays.
        """
        configured: dict[str, tuple[str, ...]] = {}
        if self._text_entry(_CONFIGURATION) is not None:
            before = configuration.parse(self._text(_CONFIGURATION))
            configured = {
                name: tuple(self.paths.moved(value) for value in values)
                for name, values in before.items()
                if all(self._is_valid(name, value) for value in values)
            }
        directory = self.here.roots[Root.UNIT].parent
        own = installation.drop_in(directory, configuration.SUBJECT)
        set_here = configuration.parse(own.text or "").get(_DATA)
        if set_here is not None:
            configured[_DATA] = set_here
        if not configured:
            return
        unit = installation.text_to_build_on(self.context, directory, self.here.state)
        text = configuration.render(configured, configuration.command_words(unit))
        yield from self._added(_CONFIGURATION, text, configuration.MODE)

    def _is_valid(self, name: str, value: str) -> bool:
        if name == _DATA:
            return True  # `Expected` is compared with the settings before K3s starts
        try:
            if name in options.OPTIONS:
                options.OPTIONS[name].read(value, None)
            else:
                limits.LIMITS[name].read(value)
        except ValueError as error:
            self.warnings.append(f"{name} is not restored: {error}")
            return False
        return True

    def _assignments(self) -> dict[str, str]:
        if self._text_entry(_ENVIRONMENT) is None:
            return {}
        found = environment.read(self._text(_ENVIRONMENT))
        unknown = sorted(found.keys() - _VARIABLES)
        self.warnings += [
            f"the variable {printable(name)} is not restored: no command of k3s-rootless sets it"
            for name in unknown
        ]
        return {
            name: self.paths.moved(value) for name, value in found.items() if name in _VARIABLES
        }

    def _adapt_environment(self, assigned: dict[str, str]) -> Iterator[Slot]:
        node = self.manifest.origin.node
        given = self.here.settings.value("node-name")
        set_here = given.origin.source is Source.ENVIRONMENT
        if self.here.origin.node != node or (set_here and os.uname().nodename.lower() != node):
            assigned[_NODE_NAME] = node
        yield from self._added(_ENVIRONMENT, environment.render(assigned), environment.MODE)

    def _added(self, entry: str, text: str | None, mode: int) -> Iterator[Slot]:
        """Prepare a drop-in of ours, which the backup may not contain."""
        if text is None:
            return
        self._put(entry, text, mode, int(self.manifest.created.timestamp()))
        yield Slot(self.here.roots[Root.UNIT] / split(entry)[1], entry, (entry,))

    def _text_entry(self, name: str) -> Entry | None:
        found = (one for one in self.manifest.entries if one.name == name and is_text(one))
        return next(found, None)

    def _text(self, name: str) -> str:
        return (self.folder / name).read_text("utf-8", "surrogateescape")

    def _put(self, name: str, text: str, mode: int, modified: int) -> None:
        path = self.folder / "adapted" / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_text(text, "utf-8", "surrogateescape")
        path.chmod(mode)
        os.utime(path, (modified, modified))
        self.contents[name] = path
