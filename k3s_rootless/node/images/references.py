"""The names of images, as containerd and the kubelet write them in full."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_HUB = "docker.io"
_OFFICIAL = "library"
_LATEST = "latest"
_NAME = "io.containerd.image.name"
_REFERENCE = "org.opencontainers.image.ref.name"


def full(name: str) -> str:
    """Return a name with its registry and its tag: `app` is `docker.io/library/app:latest`.

    Source: github.com/distribution/reference, ParseDockerRef.
    """
    registry, slash, rest = name.partition("/")
    if not slash or not ("." in registry or ":" in registry or registry == "localhost"):
        registry, rest = _HUB, name
    if registry == _HUB and "/" not in rest:
        rest = f"{_OFFICIAL}/{rest}"
    if "@" not in rest and ":" not in rest.rpartition("/")[2]:
        rest = f"{rest}:{_LATEST}"
    return f"{registry}/{rest}"


def is_latest(name: str) -> bool:
    """Return whether the tag is `latest`, which the kubelet pulls again by default."""
    return full(name).endswith(f":{_LATEST}")


def of_docker(manifest: Any) -> tuple[list[str], int]:  # noqa: ANN401 (parsed JSON)
    """Return the names in `manifest.json` of a Docker archive, and the number of unnamed images.

    Raises ValueError, TypeError, KeyError, AttributeError for another document.
    """
    names = []
    unnamed = 0
    for one in manifest:
        tags = one.get("RepoTags") or ()
        names += [full(_text(tag)) for tag in tags]
        unnamed += not tags
    return names, unnamed


def of_oci(index: Any) -> tuple[list[str], int]:  # noqa: ANN401 (parsed JSON)
    """Return the names in `index.json` of an OCI archive, and the number of unnamed images.

    An image with a tag alone gets the name `import-DATE:TAG` (containerd images/archive), and so
    counts as unnamed. Raises the same errors as `of_docker`.
    """
    names = []
    unnamed = 0
    for one in index["manifests"]:
        notes = one.get("annotations") or {}
        name = _text(notes.get(_NAME) or notes.get(_REFERENCE) or "")
        if any(mark in name for mark in "/:@"):
            names.append(name)
        else:
            unnamed += 1
    return names, unnamed


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names without repetition, in order."""
    return tuple(dict.fromkeys(names))


def _text(value: Any) -> str:  # noqa: ANN401 (parsed JSON)
    if not isinstance(value, str):
        raise TypeError(value)
    return value
