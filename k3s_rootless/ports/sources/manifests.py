"""Reader of the Services in manifests that are not applied yet.

A file is YAML or JSON, and can hold several documents and lists of objects. The reader follows
kubectl: an object without a namespace goes to `default`. Charts and templates are not manifests;
render them first (`helm template … | k3s-rootless ports plan -`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from k3s_rootless import json_fields, yaml_file
from k3s_rootless.errors import PeerError, RootlessError
from k3s_rootless.ports.sources import wire
from k3s_rootless.ports.sources.envelope import envelope
from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from k3s_rootless.ports.facts import PodPort, ServicePort

LARGEST = 16 * 1024 * 1024
"""The size limit of one file, in bytes; 10,000 Services are some 5 MiB."""
_MOST_OBJECTS = 100_000
_HINT = "check the manifest with: kubectl apply --dry-run=client -f FILE"


class Manifests:
    """What the files contain: ports of Services, hostPorts of Pods and Pod templates.

    `objects` is the number of all objects.
    """

    def __init__(self, namespace: str = "default") -> None:
        self.namespace = namespace
        self.services: list[ServicePort] = []
        self.pods: list[PodPort] = []
        self.objects = 0

    def read(self, path: str, standard_input: IO[bytes]) -> None:
        """Read one file, or standard input for `-`.

        Raises RootlessError, which names file, document and field.
        """
        name = path
        if path == "-":
            name = "standard input"
        documents = _documents(name, _content(path, name, standard_input))
        for number, document in enumerate(documents, start=1):
            try:
                with json_fields.parsing(f"`{printable(name)}`, document {number}"):
                    for one in self._objects(document):
                        self._take(one)
            except PeerError as error:
                raise RootlessError(error.message, hint=_HINT) from error

    def _objects(self, document: Any) -> Iterator[json_fields.Json]:  # noqa: ANN401 (parsed YAML)
        todo, steps = [document], 0
        while todo:
            one = todo.pop()
            # With YAML's anchors, a list can contain itself, and a short text can expand to
            # millions of objects.
            steps += 1
            if steps > _MOST_OBJECTS:
                raise json_fields.InvalidField(f"there are more than {_MOST_OBJECTS} objects")
            kind = envelope(one).kind
            if kind.endswith("List") and "items" in one:
                todo += reversed(_items(one, kind))
            else:
                self.objects += 1
                yield one

    def _take(self, one: json_fields.Json) -> None:
        metadata = json_fields.optional(one, "metadata", dict) or {}
        placed = {**one, "metadata": {"namespace": self.namespace, **metadata}}
        if one["kind"] == "Service":
            self.services += wire.service(placed)
            return
        spec: Any = one.get("spec")
        # CronJob, Job and Pod: each of the first two holds the next as a template.
        for step in ("jobTemplate", "template"):
            while isinstance(spec, dict) and isinstance(spec.get(step), dict):
                spec = spec[step].get("spec")
        if isinstance(spec, dict) and "containers" in spec:
            name = json_fields.optional(metadata, "name", str) or "(without a name)"
            namespace = json_fields.optional(placed["metadata"], "namespace", str) or self.namespace
            self.pods += wire.host_ports(namespace, f"{one['kind']} {name}", spec)


def _items(listed: json_fields.Json, kind: str) -> list[json_fields.Json]:
    """Return the objects of a list; objects of a ServiceList and the like can lack a kind."""
    own = {}
    if kind != "List":
        own["kind"] = kind.removesuffix("List")
    items = json_fields.optional(listed, "items", list) or ()
    return [{**own, **json_fields.typed(item, dict)} for item in items]


def _content(path: str, name: str, standard_input: IO[bytes]) -> bytes:
    try:
        if path == "-":
            content = standard_input.read(LARGEST + 1)
        else:
            with Path(path).open("rb") as file:
                content = file.read(LARGEST + 1)
    except OSError as error:
        raise RootlessError(
            f"cannot read `{printable(name)}`: {(error.strerror or str(error)).lower()}"
        ) from error
    if len(content) > LARGEST:
        raise RootlessError(
            f"cannot read `{printable(name)}`: it is larger than {LARGEST // 2**20} MiB"
        )
    return content


def _documents(name: str, content: bytes) -> Iterator[Any]:
    try:
        yield from yaml_file.load_all(content)
    except yaml_file.NotYaml as error:
        where = ""
        if error.line is not None:
            where = f", line {error.line}"
        why = printable(error.problem or str(error).partition("\n")[0])
        raise RootlessError(f"cannot read `{printable(name)}`{where}: {why}", hint=_HINT) from error
