"""Tests that the table of probes is complete.

Its order lets each probe wait for those before it.
"""

from __future__ import annotations

import os
import threading
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from k3s_rootless.binaries import store
from k3s_rootless.binaries.facts import Answers, Channel
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations.check import probes
from k3s_rootless.preflight.facts import NOT_NEEDED, Facts, K3sBinary
from k3s_rootless.preflight.probes import trial
from k3s_rootless.preflight.records import Offer
from tests.operations.check.hosts import context
from tests.preflight.trees import write

NAMES = [probe.name for probe in probes.ALL]


def inputs(
    root: Path, answers: dict[str, Any], running_trial: trial.RunningTrial | None = None
) -> probes.HostInputs:
    return probes.HostInputs(context(root), "/usr/bin", running_trial, answers.__getitem__)


def probe(name: str) -> probes.Probe[Any]:
    return next(one for one in probes.ALL if one.name == name)


def test_each_probe_reads_a_fact_and_no_two_the_same() -> None:
    assert sorted(set(NAMES)) == sorted(NAMES)
    assert set() == set(NAMES) - {one.name for one in fields(Facts)}


def test_a_probe_that_waits_for_another_starts_after_it() -> None:
    started = ["k3s"]
    for one in probes.HOST:
        assert set() == set(one.after) - set(started), one.name
        started.append(one.name)
    for other in probes.OF_UNIT:
        assert other.after in {("unit",), ("user_manager",)}, other.name


def test_the_facts_before_a_fact_are_read_as_well() -> None:
    assert frozenset({"resolver"}) == probes.with_dependencies(["resolver"])
    assert frozenset({"storage", "unit"}) == probes.with_dependencies(["storage"])
    assert frozenset({"trial", "newuidmap", "newgidmap", "subuid", "subgid"}) == (
        probes.with_dependencies(["trial"])
    )
    assert frozenset({"confinement", "k3s"}) == probes.with_dependencies(["confinement"])


def test_a_probe_has_more_time_than_those_that_it_waits_for() -> None:
    limits = {one.name: one.seconds or 0 for one in probes.ALL}

    for one in probes.ALL:
        assert all(limits.get(name, 0) <= (one.seconds or 0) for name in one.after), one.name


def test_the_trial_maps_with_the_programs_and_ids_that_were_found(tmp_path: Path) -> None:
    """Without them, the namespaces are still tried."""
    missing = dict.fromkeys(("newuidmap", "newgidmap", "subuid", "subgid"), Unknown("dark"))

    found = probe("trial").read(inputs(tmp_path, missing, trial.RunningTrial()))

    assert isinstance(found, Known)
    assert {"newuidmap": None, "newgidmap": None} == found.value.mapped


def test_the_trial_is_not_needed_without_its_child(tmp_path: Path) -> None:
    assert NOT_NEEDED == probe("trial").read(inputs(tmp_path, {}))


def test_a_k3s_at_risk_is_not_executed_to_read_its_profile(tmp_path: Path) -> None:
    write(tmp_path / "proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n")
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    before = children.read_text()

    for k3s in (Unknown("dark"), K3sBinary("/bin/true", risk="/bin is writable for all")):
        found = probe("confinement").read(inputs(tmp_path, {"k3s": k3s}))

        assert isinstance(found, Known)
        assert found.value.restricted
        assert (
            Unknown("no trusted k3s was found, so its AppArmor label cannot be read")
            == found.value.label
        )
    assert before == children.read_text()


def test_a_failed_read_of_the_sysctls_is_a_failure_of_each(tmp_path: Path) -> None:
    unknown = probe("sysctls").unknown
    assert unknown is not None
    read = probe("sysctls").read(inputs(tmp_path, {}))

    assert isinstance(read, dict)
    assert dict.fromkeys(read, Unknown("late")) == unknown(Unknown("late"))


def test_without_a_manager_only_the_kernel_is_known_of_the_controllers() -> None:
    found = probes.reach(None, os.getuid(), None, "there is no session")

    assert Unknown("there is no session") == found.effective == found.realized == found.configured


def test_the_last_answer_of_the_channels_is_read_and_no_server_is_queried(tmp_path: Path) -> None:
    at = inputs(tmp_path, {})
    own = at.context.paths.own
    date = datetime(2026, 11, 27, tzinfo=UTC)
    assert Known((), str(own / "channels.json")) == probe("offers").read(at)

    store.remember(
        own,
        Answers(
            "https://x",
            date,
            (
                Channel("stable", "v1.36.3+k3s1"),
                Channel("v1.16", None),
                Channel("v1.35", "v1.35.7+k3s1", date.replace(day=28)),
            ),
        ),
    )
    expected = (
        Offer("v1.36.3+k3s1", date),
        Offer("v1.35.7+k3s1", date.replace(day=28)),
    )
    assert Known(expected, str(own / "channels.json")) == probe("offers").read(at)

    (own / "channels.json").write_text("{")
    assert isinstance(probe("offers").read(at), Unknown)
