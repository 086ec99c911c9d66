"""Tests of the labels and taints of nodes: as the API server lists them, and other answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.cluster import api, node_marks
from k3s_rootless.cluster.facts import NodeMarks
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.rest import UnixPeer
from tests.ports import peers


def read(tmp_path: Path, answer: Any) -> Any:
    with peers.on_socket(tmp_path / "api", peers.answering({api.NODES: answer})):
        return node_marks.read(UnixPeer(tmp_path / "api"), 5)


def test_labels_and_taints_are_read(tmp_path: Path) -> None:
    taints = [{"key": "gpu", "effect": "NoSchedule"}, {"key": "a", "value": "b", "effect": "x"}]
    node = {"metadata": {"name": "lab", "labels": {"tier": "web"}}, "spec": {"taints": taints}}

    found = read(tmp_path, {"kind": "NodeList", "items": [node, {"metadata": {"name": "b"}}]})

    assert isinstance(found, Known)
    assert (
        NodeMarks("lab", {"tier": "web"}, {("gpu", "NoSchedule"): "", ("a", "x"): "b"}),
        NodeMarks("b", {}, {}),
    ) == found.value


@pytest.mark.parametrize(
    "answer",
    [
        (403, {"kind": "Status", "message": "nodes is forbidden", "code": 403}),
        b"tea",
        [],
        {"items": [{}]},
        {"items": [{"metadata": {"name": "a", "labels": []}}], "spec": 1},
        {"items": [{"metadata": {"name": "a"}, "spec": {"taints": ["x"]}}]},
    ],
)
def test_other_answers_are_unknown(answer: Any, tmp_path: Path) -> None:
    found = read(tmp_path, answer)

    assert isinstance(found, Unknown) or found.value[0].labels == {}


def test_without_a_server_the_node_is_unknown(tmp_path: Path) -> None:
    assert isinstance(node_marks.read(UnixPeer(tmp_path / "none"), 1), Unknown)
