"""Tests of the order in which the milestones of a start are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from k3s_rootless.operations.readiness import milestones
from k3s_rootless.operations.readiness.milestones import Milestone
from k3s_rootless.operations.readiness.phases import KUBECONFIG_WRITTEN, NAMESPACE_MADE, NODE_READY

STARTED = datetime(2026, 11, 27, 12, 0, 0, 200_000, UTC)


def test_a_node_that_reports_whole_seconds_comes_after_the_kubeconfig_of_the_same_second() -> None:
    node = Milestone(NODE_READY, STARTED.replace(microsecond=0) + timedelta(seconds=1), "")
    written = Milestone(KUBECONFIG_WRITTEN, STARTED + timedelta(seconds=1.3), "")
    namespace = Milestone(NAMESPACE_MADE, STARTED + timedelta(seconds=0.1), "")

    assert (namespace, written, node) == milestones.ordered([node, namespace, written])


def test_milestones_without_a_time_keep_their_place() -> None:
    first = Milestone(KUBECONFIG_WRITTEN, None, "", "not there")
    late = Milestone(NODE_READY, STARTED + timedelta(seconds=5), "")
    early = Milestone(NAMESPACE_MADE, STARTED, "")

    assert (first, early, late) == milestones.ordered([first, late, early])
