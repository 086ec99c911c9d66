"""Tests of the results of `kubeconfig` as text, and of their exit codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.cli.display import kubeconfig
from k3s_rootless.cli.display.report import Report
from k3s_rootless.cluster.kubeconfig.facts import Entries
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.kubeconfig.merge import Merged
from k3s_rootless.operations.kubeconfig.removed import Removed, RemovedFrom
from k3s_rootless.operations.kubeconfig.show import Located, Shown, redacted
from tests.cli.display import documents

FILE = Path("/home/alice/.kube/config")
SERVER = "https://127.0.0.1:6443"
SHOWN = Shown(
    FILE, redacted(Entries("k3s-rootless", SERVER, "Q0E=", "Q0VSVA==", "S0VZ")), raw=False
)
LOCATED = Located(FILE, exists=True)
MERGED = Merged(FILE, "k3s-rootless", SERVER, changed=True, current="", dry_run=False)
GONE = RemovedFrom(FILE, ("k3s-rootless",), None, ())
REMOVED = Removed((GONE,))
USE = "use it with: kubectl --context k3s-rootless get pods -A"
KEPT = (
    f"kept the context `k3s-rootless` in {FILE}: its certificates were edited; remove it with:"
    " kubectl config delete-context k3s-rootless\n"
)
Captured = pytest.CaptureFixture[str]


def test_the_kubeconfig_is_printed_without_secrets(capsys: Captured) -> None:
    kubeconfig.show(Report(), SHOWN)

    out = capsys.readouterr().out
    assert out.startswith("apiVersion: v1\nclusters:\n")
    assert out.endswith("    client-key-data: DATA+OMITTED\n")
    assert "S0VZ" not in out


def test_a_missing_kubeconfig_has_its_path_and_a_command(capsys: Captured) -> None:
    kubeconfig.show_path(Report(), LOCATED)
    assert (f"{FILE}\n", "") == capsys.readouterr()

    kubeconfig.show_path(Report(), replace(LOCATED, exists=False))
    missing = "K3s has not written this file yet; start K3s with: k3s-rootless up\n"
    assert (f"{FILE}\n", missing) == capsys.readouterr()


@pytest.mark.parametrize(
    ("merged", "expected"),
    [
        (MERGED, [f"merged the context `k3s-rootless` ({SERVER}) into {FILE}", USE]),
        (
            replace(MERGED, dry_run=True, current="k3s-rootless"),
            [
                f"would merge the context `k3s-rootless` ({SERVER}) into {FILE}",
                "it would be the current context: kubectl get pods -A",
            ],
        ),
        (
            replace(MERGED, changed=False, dry_run=True, current="k3s-rootless"),
            [
                f"nothing to do: {FILE} has the context `k3s-rootless`",
                "it is the current context: kubectl get pods -A",
            ],
        ),
        (
            replace(MERGED, name="my cluster", current="k3s-rootless"),
            [
                f"merged the context `my cluster` ({SERVER}) into {FILE}",
                "use it with: kubectl --context 'my cluster' get pods -A",
            ],
        ),
    ],
    ids=["merged", "dry run", "unchanged", "quoted"],
)
def test_a_merge_shows_how_to_use_the_context(
    capsys: Captured, merged: Merged, expected: list[str]
) -> None:
    kubeconfig.show_merged(Report(), merged)

    assert ("\n".join((*expected, "")), "") == capsys.readouterr()


@pytest.mark.parametrize(
    ("removed", "expected"),
    [
        (REMOVED, [f"removed the context `k3s-rootless` from {FILE}"]),
        (
            Removed((replace(GONE, contexts=("a", "b"), current="work"),)),
            [
                f"removed the contexts `a`, `b` from {FILE}",
                f"the current context in {FILE} is `work` again",
            ],
        ),
        (
            Removed((replace(GONE, current="", referring=("mine",)),)),
            [
                f"removed the context `k3s-rootless` from {FILE}",
                f"{FILE} has no current context now; set one with: kubectl config use-context",
                f"the context `mine` in {FILE} used these entries, and does not work any more",
            ],
        ),
        (
            Removed((replace(GONE, current="work", referring=("mine",)),), dry_run=True),
            [
                f"would remove the context `k3s-rootless` from {FILE}",
                f"the current context in {FILE} would be `work` again",
                f"the context `mine` in {FILE} uses these entries, and would not work any more",
            ],
        ),
        (
            Removed((replace(GONE, contexts=(), current="work"),)),
            [f"the current context in {FILE} is `work` again"],
        ),
        (Removed(), ["nothing to do: no kubeconfig has entries of k3s-rootless"]),
    ],
    ids=["one", "two", "no current context", "dry run", "entries in another file", "nothing"],
)
def test_a_removal_shows_what_follows_from_it(
    capsys: Captured, removed: Removed, expected: list[str]
) -> None:
    assert 0 == kubeconfig.show_removed(Report(), removed)

    assert expected == capsys.readouterr().out.splitlines()


def test_entries_that_were_edited_are_kept(capsys: Captured) -> None:
    edited = Removed(kept=((FILE, "k3s-rootless"),))

    assert 7 == kubeconfig.show_removed(Report(), edited)
    assert ("", KEPT) == capsys.readouterr()


def test_a_file_that_cannot_be_changed_is_an_error(capsys: Captured) -> None:
    problem = RootlessError(f"cannot read `{FILE}`: permission denied", hint="look at it")

    assert 1 == kubeconfig.show_removed(Report(), Removed(problems=(problem,)))
    assert ("", f"error: {problem.message}\n\nhint: look at it\n") == capsys.readouterr()


def test_uninstall_shows_removed_and_kept_copies(capsys: Captured) -> None:
    kubeconfig.show_removed_with_k3s(Report(), replace(REMOVED, kept=((FILE, "k3s-rootless"),)))

    line = f"removed the context `k3s-rootless` from {FILE}\n"
    assert (line, KEPT) == capsys.readouterr()


@pytest.mark.parametrize(
    ("name", "show", "result"),
    [
        ("kubeconfig-show", kubeconfig.show, SHOWN),
        ("kubeconfig-path", kubeconfig.show_path, LOCATED),
        ("kubeconfig-merge", kubeconfig.show_merged, MERGED),
        ("kubeconfig-remove", kubeconfig.show_removed, REMOVED),
    ],
)
def test_json_is_one_document(
    capsys: Captured, name: str, show: Callable[[Report, Any], object], result: object
) -> None:
    show(Report(json_for=name), result)

    documents.require_one(capsys.readouterr().out, name)
