"""Write the RuntimeClass that K3s does not create for one of its runtimes, as a manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import user_file
from k3s_rootless.errors import UsageError, WouldOverwrite
from k3s_rootless.k3s import layout, runtimes
from k3s_rootless.operations.containerd import place as places

if TYPE_CHECKING:
    from k3s_rootless.operations.containerd.place import Place
    from k3s_rootless.operations.context import Context
    from k3s_rootless.user_file import UserFile

LARGEST = 64 * 1024
_MANIFEST = """# Written by k3s-rootless: K3s creates no RuntimeClass for this runtime.
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata:
  name: {name}
handler: {name}
"""


@dataclass(frozen=True, slots=True)
class Written:
    """The manifest; `changed` is false if it was there already."""

    path: Path
    name: str
    manifest: str
    changed: bool
    dry_run: bool
    running: bool


def write(context: Context, name: str, *, dry_run: bool) -> Written:
    """Write the manifest, which K3s applies while it runs, or at its next start.

    Raises UsageError for a runtime that K3s does not know, or has a RuntimeClass for,
    WouldOverwrite if the manifest was edited, RootlessError.
    """
    place = places.find(context)
    _require_missing(name, place)
    path = place.data / layout.MANIFESTS / f"k3s-rootless-runtime-{name}.yaml"
    manifest = _MANIFEST.format(name=name)
    if dry_run:
        changed = _read(context, path, manifest).mode is None
    else:
        with context.locked():
            file = _read(context, path, manifest)
            changed = file.mode is None
            if changed:
                user_file.write(file, manifest.encode())
    return Written(path, name, manifest, changed, dry_run, place.state.running)


def _read(context: Context, path: Path, manifest: str) -> UserFile:
    """Read the file, which has this text if it exists. Raises WouldOverwrite, RootlessError."""
    file = user_file.read(path, context.uid, largest=LARGEST)
    if file.mode is not None and file.content != manifest.encode():
        raise WouldOverwrite(
            f"cannot write `{path}`: it was edited", hint=f"remove it first: rm {path}"
        )
    return file


def _require_missing(name: str, place: Place) -> None:
    if name not in runtimes.PROGRAMS:
        raise UsageError(
            f"cannot write a RuntimeClass for `{name}`: K3s does not know this runtime",
            hint=f"use one of these: {', '.join(runtimes.PROGRAMS)}",
        )
    creates = place.release is None or runtimes.CLASSES.holds(place.release)
    if creates and name not in runtimes.WITHOUT_CLASS:
        raise UsageError(
            f"cannot write a RuntimeClass for `{name}`: K3s creates it itself",
            hint="list them with: k3s-rootless kubectl get runtimeclass",
        )
