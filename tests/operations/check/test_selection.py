"""Tests that checks are selected by their ids and groups."""

from __future__ import annotations

import pytest

from k3s_rootless.errors import UsageError
from k3s_rootless.operations.check import selection
from k3s_rootless.preflight.checks.checklist import CHECKS
from tests.strategies import HEALTHY


def test_without_ids_all_checks_are_selected() -> None:
    assert CHECKS == selection.selected(())
    assert [one.id for one in CHECKS] == [one.check for one in selection.judge(HEALTHY)]


def test_a_group_selects_all_of_its_checks_in_their_order() -> None:
    expected = [one.id for one in CHECKS if one.id.startswith("cgroup.delegation.")]

    assert len(expected) > 1
    assert expected == [one.id for one in selection.selected(["cgroup.delegation"])]
    assert expected == [one.check for one in selection.judge(HEALTHY, ["cgroup.delegation"])]


def test_a_part_of_an_id_is_not_a_group() -> None:
    assert () == selection.selected(["cgroup.deleg"])


def test_the_needs_include_the_facts_that_are_read_first() -> None:
    assert frozenset({"resolver"}) == selection.needs(["net.resolver"])
    assert {"storage", "unit"} <= selection.needs(["storage"])


@pytest.mark.parametrize("known", ["net", "net.resolver", "cgroup.delegation", "cgroup"])
def test_ids_and_groups_are_known(known: str) -> None:
    selection.require_known([known])


def test_a_misspelled_id_is_refused_with_the_closest_one() -> None:
    with pytest.raises(UsageError) as raised:
        selection.require_known(["net", "net.resolvr"])

    assert "there is no check `net.resolvr`" == raised.value.message
    assert "did you mean `net.resolver`?" == raised.value.hint


def test_an_unknown_id_is_refused_with_the_command_that_lists_the_ids() -> None:
    with pytest.raises(UsageError) as raised:
        selection.require_known(["xyzzy"])

    assert "list the ids with: k3s-rootless check --json" == raised.value.hint
