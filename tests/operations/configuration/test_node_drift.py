"""Tests of labels and taints that are set, and that the node does not have."""

from __future__ import annotations

import pytest

from k3s_rootless.cluster.facts import NodeMarks
from k3s_rootless.operations.configuration import node_drift

NODE = NodeMarks(
    "lab",
    {"tier": "web", "empty": "", "kubernetes.io/os": "linux"},
    {("gpu", "NoSchedule"): "", ("team", "NoExecute"): "a"},
)


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("node-label", "tier=web", None),
        ("node-label", "empty=", None),
        ("node-label", "tier=db", "the node lab has tier=web"),
        ("node-label", "disk=ssd", "the node lab does not have it"),
        ("node-label", "disk=", "the node lab does not have it"),
        ("node-taint", "gpu:NoSchedule", None),
        ("node-taint", "gpu=:NoSchedule", None),
        ("node-taint", "team=a:NoExecute", None),
        ("node-taint", "team=b:NoExecute", "the node lab has team=a:NoExecute"),
        ("node-taint", "team=a:NoSchedule", "the node lab does not have it"),
    ],
)
def test_a_difference_is_described_with_its_command(
    setting: str, value: str, expected: str | None
) -> None:
    found = node_drift.differences([(setting, value)], [NODE])

    if expected is None:
        assert () == found
        return
    (one,) = found
    kind = setting.removeprefix("node-")
    command = f"k3s-rootless kubectl {kind} node lab {value} --overwrite"
    assert f"{setting} {value}: {expected}; change it with: {command}" == one.describe()
    assert (setting, value, "lab", command) == tuple(
        one.document()[key] for key in ("setting", "value", "node", "command")
    )
