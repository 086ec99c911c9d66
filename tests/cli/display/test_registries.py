"""Tests of the registries as text, and of what their endpoints answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.cli.display import registries
from k3s_rootless.cli.display.report import Report
from k3s_rootless.node.registries import content, endpoints
from k3s_rootless.node.registries.facts import Config, Mirror, Problem, Reply, State
from k3s_rootless.operations.registries.change import Changed
from k3s_rootless.operations.registries.check import Checked, Result
from k3s_rootless.operations.registries.show import Row, Shown
from tests.cli.display import documents, narrow

INSIDE = "/etc/rancher/k3s/registries.yaml"
PATH = Path(f"/home/alice/.rancher/k3s{INSIDE}")
RESTART = "apply it with: k3s-rootless restart"
MIRROR = b"""
mirrors:
  docker.io:
    endpoint: ["https://mirror.example:5000"]
"""
HOSTS = b"""
configs:
  a.example: {auth: {username: alice, password: hunter2}}
  b.example: {auth: {identity_token: t0ken}}
  c.example: {auth: {password: hunter2}}
  d.example: {auth: {username: dave, identity_token: t0ken}}
  e.example: {tls: {ca_file: /ca.pem, cert_file: /c.pem, key_file: /k.pem}}
  f.example: {tls: {insecure_skip_verify: true}}
"""
Captured = pytest.CaptureFixture[str]


def shown(text: bytes, restart: str = "") -> Shown:
    """Return what `registries show` reads from a file with this text."""
    found = content.read(text)
    rows = tuple(
        Row(
            name,
            endpoints.of_registry(found, name),
            found.mirrors.get(name, Mirror()),
            found.configs.get(name, Config()),
        )
        for name in found.names
    )
    return Shown(PATH, INSIDE, exists=True, found=found, rows=rows, restart_needed=restart)


def checked(*replies: Reply, advice: tuple[str, ...] = ()) -> Checked:
    """Return a check in which the endpoints of Docker Hub's mirror have these replies."""
    found = shown(MIRROR)
    listed = zip(found.rows[0].endpoints, replies, strict=True)
    return Checked(found, tuple(Result(one, reply, advice) for one, reply in listed))


FILE = f"file: {PATH} ({INSIDE} in K3s's namespaces)"
READY = Reply(State.READY, "answered without credentials")
LOST = Reply(State.UNREACHABLE, "connection refused")
CHANGED = Changed(PATH, ("mirrors → docker.io",), changed=True, dry_run=False, restart_needed="")


def test_mirrors_come_before_the_registry(capsys: Captured) -> None:
    registries.show_list(Report(), shown(MIRROR, "K3s was started before"))

    _, _, row, *below = capsys.readouterr().out.splitlines()
    urls = "https://mirror.example:5000/v2/, https://registry-1.docker.io/v2/"
    assert f"docker.io   {urls}   -             -" == row
    assert [FILE, f"restart required: K3s was started before; {RESTART}"] == below


def test_endpoints_are_below_each_other_on_a_narrow_terminal() -> None:
    lines = narrow.lines(lambda report: registries.show_list(report, shown(MIRROR)))

    assert [
        ["docker.io", "https://mirror.example:5000/v2/,", "-", "-"],
        ["https://registry-1.docker.io/v2/"],
    ] == [line.split() for line in lines[2:4]]


def test_secrets_are_hidden_and_their_kind_is_shown(capsys: Captured) -> None:
    registries.show_list(Report(), shown(HOSTS))

    out = capsys.readouterr().out
    rows = [line.split("   ")[2:] for line in out.splitlines()[2:8]]
    assert [
        ["alice, password hidden", "-"],
        ["token hidden", "-"],
        ["password hidden", "-"],
        ["dave, token hidden", "-"],
        ["-", "ca_file /ca.pem, cert_file /c.pem"],
        ["-", "not verified"],
    ] == [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert "hunter2" not in out
    assert "t0ken" not in out


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (Problem(3, "the key is unknown"), "warning: line 3: the key is unknown"),
        (Problem(None, "it is old"), "warning: it is old"),
        (
            Problem(1, "it is not valid YAML", fatal=True),
            "error, K3s does not become ready: line 1: it is not valid YAML",
        ),
    ],
)
def test_a_problem_of_the_file_is_above_its_path(
    capsys: Captured, problem: Problem, expected: str
) -> None:
    found = shown(b"")

    registries.show_list(Report(), replace(found, found=replace(found.found, problems=(problem,))))

    assert f"{expected}\n{FILE}\n" == capsys.readouterr().out


def test_the_path_is_shown_once_if_it_is_the_same_in_the_namespaces(capsys: Captured) -> None:
    registries.show_list(Report(), replace(shown(b""), inside=str(PATH)))
    registries.show_list(Report(), replace(shown(b""), exists=False))

    assert (
        f"file: {PATH}\nno registries are configured: {PATH} does not exist\n"
    ) == capsys.readouterr().out


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (checked(READY, READY), 0),
        (checked(READY, LOST), 0),
        (checked(LOST, READY), 1),
        (Checked(shown(MIRROR), (), "K3s is not running"), 3),
        (Checked(shown(b"mirror: {}"), (), "K3s is not running"), 1),
    ],
    ids=["good", "mirror works", "mirror fails", "not running", "problem"],
)
def test_the_exit_code_of_a_check_is_its_result(
    capsys: Captured, found: Checked, code: int
) -> None:
    assert code == registries.show_checked(Report(), found)


def test_answers_are_followed_by_advice(capsys: Captured) -> None:
    registries.show_checked(Report(), checked(LOST, READY, advice=("use a network", "or a Pod")))

    _, _, first, second, *below = capsys.readouterr().out.splitlines()
    url, hub = "https://mirror.example:5000/v2/", "https://registry-1.docker.io/v2/"
    assert f"docker.io   {url}    not reachable   connection refused" == first
    assert f"docker.io   {hub}   ready           answered without credentials" == second
    assert [
        f"{url}: use a network",
        "- or a Pod",
        f"{hub}: use a network",
        "- or a Pod",
        FILE,
    ] == below


def test_a_check_without_requests_shows_why(capsys: Captured) -> None:
    registries.show_checked(Report(), Checked(shown(MIRROR), (), "K3s is not running"))

    assert f"{FILE}\nK3s is not running\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (CHANGED, [f"changed {PATH}", "  mirrors → docker.io"]),
        (
            replace(CHANGED, dry_run=True, restart_needed="K3s does not read it again"),
            [f"would change {PATH}", "  mirrors → docker.io"],
        ),
        (
            replace(CHANGED, changed=False, restart_needed="K3s is older"),
            [
                f"nothing to do: {PATH} is as requested",
                f"restart required: K3s is older; {RESTART}",
            ],
        ),
    ],
    ids=["changed", "dry run", "unchanged"],
)
def test_a_change_is_listed(capsys: Captured, changed: Changed, expected: list[str]) -> None:
    registries.show_changed(Report(), changed)

    assert expected == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("name", "show", "result"),
    [
        ("registries-show", registries.show_list, shown(HOSTS)),
        ("registries-check", registries.show_checked, checked(LOST, READY)),
        ("registries-set", registries.show_changed, CHANGED),
    ],
)
def test_json_is_one_document_without_secrets(
    capsys: Captured, name: str, show: Callable[[Report, Any], object], result: object
) -> None:
    show(Report(json_for=name), result)

    out = capsys.readouterr().out
    documents.require_one(out, name)
    assert "hunter2" not in out
