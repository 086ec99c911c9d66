"""Compare the labels and taints that are set with those of the node.

K3s sets them when the node registers for the first time, and never again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Any

from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import node_labels
from k3s_rootless.observation import Unknown
from k3s_rootless.service.observe import files

if TYPE_CHECKING:
    from k3s_rootless.cluster.facts import NodeMarks
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.observation import Observed
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Difference:
    """A label or taint that is set, and what the node has instead; None if it has none.

    `unknown` is why the node could not be read; the other fields are then empty.
    """

    setting: str
    value: str
    node: str = ""
    live: str | None = None
    command: str = ""
    unknown: str = ""

    def describe(self) -> str:
        """Return a sentence with the command that changes the node."""
        if self.unknown:
            return f"unknown: whether the node has {self.setting} {self.value}: {self.unknown}"
        has = "does not have it"
        if self.live is not None:
            has = f"has {self.live}"
        return (
            f"{self.setting} {self.value}: the node {self.node} {has}; change it with:"
            f" {self.command}"
        )

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "setting": self.setting,
            "value": self.value,
            "node": self.node or None,
            "live": self.live,
            "command": self.command or None,
            "unknown": self.unknown or None,
        }


def read(
    context: Context, state: UnitState, resolved: Settings, names: Collection[str]
) -> tuple[Difference, ...]:
    """Return the labels and taints among the settings `names` that a running node lacks."""
    wanted = [
        (name, value)
        for name in node_labels.SETTINGS
        if name in names
        for value in resolved.words(name)
    ]
    if not wanted or not state.running:
        return ()
    found = _marks(context, state)
    if isinstance(found, Unknown):
        return tuple(Difference(name, value, unknown=found.reason) for name, value in wanted)
    return differences(wanted, found.value)


def differences(
    wanted: Sequence[tuple[str, str]], nodes: Sequence[NodeMarks]
) -> tuple[Difference, ...]:
    """Return the labels and taints, as (setting, value), that the nodes lack."""
    return tuple(
        difference
        for node in nodes
        for name, value in wanted
        for difference in _differences(name, value, node)
    )


def _marks(context: Context, state: UnitState) -> Observed[tuple[NodeMarks, ...]]:
    # Imported here: HTTP and TLS take 40 ms to load, and few users set labels or taints.
    from k3s_rootless.cluster import node_marks
    from k3s_rootless.operations.readiness.start import Start

    try:
        peer = Start.of(context, state, files.release_of(state.fragment)).find_api()
    except RootlessError as error:
        return Unknown(error.message)
    return node_marks.read(peer, _SECONDS)


def _differences(name: str, value: str, node: NodeMarks) -> Iterator[Difference]:
    if name == "node-label":
        key, _, text = value.partition("=")
        live, kind, present = node.labels.get(key), "label", f"{key}={node.labels.get(key)}"
    else:
        key, text, effect = node_labels.parts_of_taint(value)
        live, kind = node.taints.get((key, effect)), "taint"
        present = f"{key}={live}:{effect}"
    if live == text:
        return
    command = f"k3s-rootless kubectl {kind} node {quote(node.name)} {quote(value)} --overwrite"
    yield Difference(name, value, node.name, None if live is None else present, command)
