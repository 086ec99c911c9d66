"""PersistentVolumes in the datastore that are directories of the host: read, and moved.

The API server does not allow a change of the path in a PersistentVolume. In a datastore that no API
server uses, only the path is replaced: all other bytes of the object stay the same, also its uid
and its claim, so that the claim stays bound. Field numbers: k8s.io/api core/v1 generated.proto.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from k3s_rootless.k3s import protobuf

PREFIX = "/registry/persistentvolumes/"
_HOST_NAME = "kubernetes.io/hostname"
_SOURCES = {"hostPath": 3, "local": 20}
"""Fields of PersistentVolumeSource; in both, field 1 is the path."""
_SOURCE = (protobuf.OBJECT, 2, 2)
_CLAIM = (protobuf.OBJECT, 2, 4)
_EXPRESSIONS = (protobuf.OBJECT, 2, 9, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class PersistentVolume:
    """A PersistentVolume.

    `row` is its row in the datastore. `source` is `hostPath`, `local`, or empty for a volume that
    is no directory of the host. `nodes` are the host names that it is bound to. `claim` is the
    namespace and name of its claim.
    """

    row: int
    name: str
    source: str = ""
    path: str = ""
    nodes: tuple[str, ...] = ()
    claim: str = ""


def read(row: int, key: str, value: bytes) -> PersistentVolume:
    """Parse a stored PersistentVolume. Raises ValueError if its format is unknown."""
    name = key.removeprefix(PREFIX)
    try:
        if value.startswith(b"{"):
            return _of_json(row, name, json.loads(value))
        return _of_protobuf(row, name, protobuf.stored(value))
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise ValueError(f"cannot read the PersistentVolume {name}: {error}") from error


def moved(volume: PersistentVolume, value: bytes, path: str) -> bytes:
    """Return the stored object with another path.

    Raises ValueError if it is not certain that nothing else changes.
    """
    if value.startswith(b"{"):
        return _moved_json(volume, value, path)
    place = (*_SOURCE, _SOURCES[volume.source], 1)
    before = protobuf.stored(value)
    after = protobuf.replaced(before, place, path.encode("utf-8"))
    if protobuf.replaced(after, place, volume.path.encode("utf-8")) != before:
        raise ValueError(
            f"cannot change the PersistentVolume {volume.name}: its encoding is unusual"
        )
    return protobuf.MAGIC + after


def _of_protobuf(row: int, name: str, unknown: bytes) -> PersistentVolume:
    claim = b"/".join(protobuf.first(unknown, *_CLAIM, part) for part in (2, 3))
    nodes = tuple(
        value.decode("utf-8")
        for expression in protobuf.find(unknown, *_EXPRESSIONS)
        if protobuf.first(expression, 1) == _HOST_NAME.encode("ascii")
        for value in protobuf.find(expression, 3)
    )
    found = PersistentVolume(row, name, nodes=nodes, claim=_claim(claim.decode("utf-8")))
    for source, number in _SOURCES.items():
        for content in protobuf.find(unknown, *_SOURCE, number):
            path = protobuf.first(content, 1).decode("utf-8")
            return PersistentVolume(row, name, source, path, found.nodes, found.claim)
    return found


def _of_json(row: int, name: str, content: dict[str, Any]) -> PersistentVolume:
    spec = content["spec"]
    reference = spec.get("claimRef") or {}
    claim = _claim(f"{reference.get('namespace', '')}/{reference.get('name', '')}")
    nodes = tuple(_nodes(spec))
    for source in _SOURCES:
        if spec.get(source):
            return PersistentVolume(row, name, source, spec[source]["path"], nodes, claim)
    return PersistentVolume(row, name, nodes=nodes, claim=claim)


def _nodes(spec: dict[str, Any]) -> Iterator[str]:
    required = (spec.get("nodeAffinity") or {}).get("required") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for expression in term.get("matchExpressions") or ():
            if expression.get("key") == _HOST_NAME:
                yield from expression.get("values") or ()


def _claim(text: str) -> str:
    return "" if text == "/" else text


def _moved_json(volume: PersistentVolume, value: bytes, path: str) -> bytes:
    content = json.loads(value)
    content["spec"][volume.source]["path"] = path
    end = b"\n" if value.endswith(b"\n") else b""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + end
