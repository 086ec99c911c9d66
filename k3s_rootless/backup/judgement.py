"""Judge whether a backup can be restored into a cluster."""

from __future__ import annotations

from collections.abc import Iterator

from k3s_rootless.backup import contents
from k3s_rootless.backup.facts import Judgement, Manifest, Origin
from k3s_rootless.k3s import version

_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64", "armv8l": "armv7l"}


def judge(manifest: Manifest, here: Origin) -> Judgement:
    """Return why a backup cannot be restored here, and what to know about its restore."""
    return Judgement(tuple(_refusals(manifest, here)), tuple(_warnings(manifest, here)))


def _refusals(manifest: Manifest, here: Origin) -> Iterator[str]:
    origin = manifest.origin
    if _architecture(origin.architecture) != _architecture(here.architecture):
        yield (
            f"it is from a host with the architecture {origin.architecture}, and this host has"
            f" {here.architecture}"
        )
    if not contents.has_datastore(manifest):
        yield "it contains no datastore"
    if _is_newer(origin.k3s, here.k3s):
        yield (
            f"it is from K3s {origin.k3s}, and K3s {here.k3s} is installed: an older release"
            " cannot read the datastore of a newer one"
        )


def _warnings(manifest: Manifest, here: Origin) -> Iterator[str]:
    origin = manifest.origin
    if here.k3s is None:
        yield "the version of the installed K3s is unknown, so it was not compared"
        return
    before, now = _line(origin.k3s), _line(here.k3s)
    if before and now and before[0] == now[0] and now[1] - before[1] > 1:
        yield (
            f"the backup is from K3s {origin.k3s}, and K3s {here.k3s} is installed: Kubernetes"
            " does not support skipping a minor version"
        )


def _architecture(name: str) -> str:
    return _ARCHITECTURES.get(name, name)


def _is_newer(one: str | None, other: str | None) -> bool:
    first, second = version.parse(one or ""), version.parse(other or "")
    return first is not None and second is not None and first > second


def _line(text: str | None) -> tuple[int, int] | None:
    found = version.parse(text or "")
    return None if found is None else found.line
