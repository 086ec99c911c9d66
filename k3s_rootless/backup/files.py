"""Read which files belong to a backup, and which datastore a cluster has.

A backup contains what K3s cannot create again with the same content: the datastore, the token that
encrypts parts of it, certificates and keys, the user's manifests, and configuration files.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from k3s_rootless import atomic
from k3s_rootless.backup import names
from k3s_rootless.backup.facts import NO_PARTS, Collected, Datastore, LeftOut, Parts, Root, Source
from k3s_rootless.backup.manifest import MOST_ENTRIES
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import layout
from k3s_rootless.paths import OUR_DROP_IN

_NEVER = (
    LeftOut("data", "K3s unpacks its programs again"),
    LeftOut("agent/containerd", "containerd downloads images again"),
    LeftOut("kubelet", "K3s creates pods again; their temporary volumes are lost"),
    LeftOut("logs", "logs do not belong to the state of the cluster"),
    LeftOut(layout.NODE_TOKEN, "K3s writes it again at each start"),
    LeftOut(layout.KUBECONFIG, "K3s writes it again at each start"),
    LeftOut("k3s-rootless.service", "`k3s-rootless up` writes it for the installed release"),
)


_WITHOUT_IMAGES = LeftOut(layout.IMAGES, "archives of images are included only with --images")
_WITHOUT_VOLUMES = LeftOut(layout.STORAGE, "volumes are included only with --volumes")


def datastore(data: Path, endpoint: str) -> Datastore:
    """Return where a cluster keeps its objects; `endpoint` is K3s's `datastore-endpoint`."""
    if (data / layout.ETCD_LOG).exists():
        return Datastore.ETCD
    if endpoint:
        return Datastore.EXTERNAL
    if (data / layout.SQLITE).exists():
        return Datastore.SQLITE
    return Datastore.NONE


def collect(
    data: Path,
    home: Path,
    drop_ins: Path,
    configuration: Iterable[Path],
    parts: Parts = NO_PARTS,
) -> Collected:
    """List the files of a backup without the datastore and the volumes.

    `drop_ins` is the directory of the unit's drop-ins, and `configuration` are K3s's configuration
    files. Raises RootlessError if a directory cannot be read.
    """
    walk = _Walk(left_out=[*_NEVER, *_optional(parts)])
    trees = (*names.TREES, layout.IMAGES) if parts.images else names.TREES
    try:
        for name in names.SINGLE:
            walk.add(data / name, f"{Root.DATA.value}/{name}")
        for name in trees:
            for path in walk.files(data / name, packaged=name == layout.MANIFESTS):
                walk.add(path, f"{Root.DATA.value}/{path.relative_to(data)}")
        for path in templates(data):
            walk.add(path, f"{Root.DATA.value}/{path.relative_to(data)}")
        for path in ours(drop_ins):
            walk.add(path, f"{Root.UNIT.value}/{path.name}")
        for path in dict.fromkeys(configuration):
            if not path.is_relative_to(data):
                walk.add(path, _configuration_name(path, home), follow=True)
    except OSError as error:
        raise RootlessError(
            f"cannot read `{error.filename}`: {atomic.reason(error)}",
            hint="the files of K3s must belong to you: look at them with ls -l",
        ) from error
    return Collected(tuple(walk.sources), tuple(walk.left_out))


def _optional(parts: Parts) -> Iterator[LeftOut]:
    if not parts.images:
        yield _WITHOUT_IMAGES
    if not parts.volumes:
        yield _WITHOUT_VOLUMES


def templates(data: Path) -> tuple[Path, ...]:
    """Return the user's files for containerd in a data directory."""
    directory = data / layout.CONTAINERD_CONFIGURATION
    return tuple(sorted(path for one in names.TEMPLATES for path in directory.glob(one)))


def ours(drop_ins: Path) -> tuple[Path, ...]:
    """Return the drop-ins of k3s-rootless, without those that prevent a start."""
    found = (path for path in drop_ins.glob("*.conf") if OUR_DROP_IN.fullmatch(path.name))
    return tuple(sorted(path for path in found if path.name != names.GUARD))


@dataclass(slots=True)
class _Walk:
    sources: list[Source] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def add(self, path: Path, name: str, *, follow: bool = False) -> None:
        """Add a file if it exists; `follow` reads the target of a link."""
        try:
            found = path.stat() if follow else path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return
        if not stat.S_ISREG(found.st_mode):
            self.left_out.append(LeftOut(str(path), _kind(found.st_mode)))
            return
        if len(self.sources) >= MOST_ENTRIES - 10:
            raise RootlessError(f"cannot back up more than {MOST_ENTRIES} files: {path}")
        self.sources.append(Source(path, name))

    def files(self, directory: Path, *, packaged: bool) -> Iterator[Path]:
        """Yield everything below a directory except directories; links are not followed."""
        for entry in _entries(directory):
            path = Path(entry.path)
            if packaged and _is_packaged(path):
                self.left_out.append(LeftOut(str(path), "K3s writes it again at each start"))
            elif entry.is_dir(follow_symlinks=False):
                yield from self.files(path, packaged=False)
            else:
                yield path


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            return sorted(found, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_packaged(path: Path) -> bool:
    # K3s does not write a manifest with a `.skip` file beside it, so this one is the user's.
    return path.name in names.PACKAGED and not path.with_name(f"{path.name}.skip").exists()


def _configuration_name(path: Path, home: Path) -> str:
    if path.is_relative_to(home):
        return f"{Root.HOME.value}/{path.relative_to(home)}"
    return f"{Root.HOST.value}{path}"


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "it is a link"
    if stat.S_ISDIR(mode):
        return "it is a directory"
    return "it is no regular file"
