"""Tests of the list of certificates as text, and of the results of their rotation."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.cli.display import certs
from k3s_rootless.cli.display.report import Report
from k3s_rootless.cluster.certificates import renewal
from k3s_rootless.cluster.certificates.records import Certificate, Fields
from k3s_rootless.k3s import version
from k3s_rootless.node.facts import Surroundings
from k3s_rootless.operations.certificates.authorities import Plan as AuthorityPlan
from k3s_rootless.operations.certificates.authorities import Replaced
from k3s_rootless.operations.certificates.listing import Listed
from k3s_rootless.operations.certificates.rotate import Plan, Rotated
from k3s_rootless.service.plan.steps import RotateCertificates
from tests.cli.display import documents, narrow

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
DATA = Path("/home/alice/.rancher/k3s")
KUBECONFIG = Path("/home/alice/.kube/k3s.yaml")
K3S = "/usr/local/bin/k3s"
RELEASE = version.parse("v1.33.4+k3s1")
ADMIN, KUBELET = "server/tls/client-admin.crt", "agent/client-kubelet.crt"
REPLACE = "replace it with: k3s-rootless certs rotate-ca --path DIRECTORY"
Captured = pytest.CaptureFixture[str]


def certificate(
    name: str, days: int, subject: str = "system:admin", *, authority: bool = False
) -> Certificate:
    """Return a certificate that ends after `days`, as it is judged at `NOW`."""
    starts, ends = NOW - timedelta(days=400), NOW + timedelta(days=days)
    fields = Fields(subject, "k3s-client-ca", ("client",), authority, "1f", starts, ends)
    return renewal.judge(name, fields, 120, NOW)


def of_authority(days: int) -> Certificate:
    return certificate("server/tls/server-ca.crt", days, "O=k3s", authority=True)


VALID = Listed(
    DATA,
    RELEASE,
    120,
    (
        certificate(ADMIN, 365),
        of_authority(3650),
        certificate(KUBELET, 100, "system:node:host"),
        certificate("server/tls/dynamic-cert.json", 365, "k3s"),
        certificate("server/tls/own.crt", 365, "CN=own"),
    ),
    (),
    (),
    running=True,
)
STEP = RotateCertificates(
    "k3s-rootless.service", (K3S, "certificate", "rotate"), {}, DATA / "state", "it was requested"
)
ROTATION = Plan(STEP, (), DATA, KUBECONFIG, running=True)
AUTHORITIES = AuthorityPlan(
    Path("/home/alice/new-ca"),
    Surroundings(
        program=K3S,
        release=RELEASE,
        running=True,
        home=DATA.parent,
        data=DATA,
        kubeconfig=KUBECONFIG,
        port=6443,
        snapshotter="overlayfs",
    ),
    ("server-ca.crt", "client-ca.crt"),
    (),
)


def test_a_list_shows_what_renews_each_certificate(capsys: Captured) -> None:
    certs.show_list(Report(), VALID)

    shown, err = capsys.readouterr()
    table, _, remarks = shown.partition("\n\n")
    head, _, *rows = (re.split("  +", line) for line in table.splitlines())
    running = "running K3s from 2027-07-30"
    assert ["FILE", "SUBJECT", "ENDS", "STATE", "RENEWED BY", "USE"] == head
    assert [
        ["client-admin.crt", "2027-11-27", "valid", "start from 2027-07-30"],
        ["server-ca.crt", "2036-11-24", "valid", "certs rotate-ca"],
        ["agent/client-kubelet.crt", "2027-03-07", "due", "each start"],
        ["dynamic-cert.json", "2027-11-27", "valid", running],
        ["own.crt", "2027-11-27", "valid", "-"],
    ] == [[row[0], *row[2:5]] for row in rows]
    assert (
        "v1.33.4+k3s1 renews certificates at a start within 120 days of their end\n"
        "to renew now: agent/client-kubelet.crt; renew them with: k3s-rootless restart\n"
    ) == remarks
    assert "" == err


def test_a_row_is_stacked_on_a_narrow_terminal() -> None:
    name = "kube-controller-manager/kube-controller-manager.crt"
    wide = certificate(f"server/tls/{name}", 365, "kube-controller-manager")

    shown = narrow.lines(
        lambda report: certs.show_list(report, replace(VALID, certificates=(wide,)))
    )

    assert [
        f"FILE          {name}",
        "  SUBJECT     kube-controller-manager",
        "  ENDS        2027-11-27",
        "  STATE       valid",
        "  RENEWED BY  start from 2027-07-30",
        "  USE         controller manager, its own port",
        "",
        "v1.33.4+k3s1 renews certificates at a start within 120 days of their end",
    ] == shown


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"certificates": ()}, f"K3s has not created certificates in {DATA} yet"),
        (
            {"certificates": (certificate(ADMIN, 400),), "release": None},
            "this K3s renews certificates at a start within 120 days of their end",
        ),
        (
            {"certificates": (certificate(ADMIN, -1), certificate(KUBELET, 9)), "running": False},
            (
                "to renew now: client-admin.crt, agent/client-kubelet.crt; renew them with:"
                " k3s-rootless up"
            ),
        ),
        (
            {"certificates": (of_authority(-1),)},
            f"the authority server-ca.crt (O=k3s) has expired on 2026-11-26; {REPLACE}",
        ),
        (
            {"certificates": (of_authority(300),)},
            f"the authority server-ca.crt (O=k3s) ends on 2027-09-23; {REPLACE}",
        ),
        (
            {"backups": (DATA / "server/tls-1795780000", DATA / "server/tls-1795822337")},
            f"copies of earlier certificates: 2, the newest in {DATA}/server/tls-1795822337",
        ),
    ],
)
def test_the_last_line_is_what_to_do(
    capsys: Captured, changed: dict[str, Any], expected: str
) -> None:
    certs.show_list(Report(), replace(VALID, **changed))

    assert expected == capsys.readouterr().out.splitlines()[-1]


def test_a_certificate_that_cannot_be_read_is_an_error(capsys: Captured) -> None:
    damaged = replace(VALID, certificates=(), problems=((ADMIN, "it is not PEM"),))

    certs.show_list(Report(), damaged)

    shown = capsys.readouterr()
    assert shown.out.startswith("v1.33.4+k3s1 renews")
    assert f"error: {ADMIN}: it is not PEM\n" == shown.err


def test_a_rotation_of_a_running_k3s_has_three_steps(capsys: Captured) -> None:
    certs.show_plan(Report(), ROTATION)
    certs.show_plan(Report(), replace(ROTATION, running=False))

    renew = "renew K3s's certificates: /usr/local/bin/k3s certificate rotate"
    assert [
        "1. stop K3s and all pods",
        f"2. {renew}",
        "3. start K3s, which issues the certificates",
        f"1. {renew}",
    ] == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("renewed", "expected"),
    [
        ((ADMIN,), ["K3s is ready with 1 new certificate", "  client-admin.crt"]),
        (
            (ADMIN, KUBELET),
            [
                "K3s is ready with 2 new certificates",
                "  client-admin.crt",
                "  agent/client-kubelet.crt",
            ],
        ),
    ],
)
def test_new_certificates_are_counted_and_named(
    capsys: Captured, renewed: tuple[str, ...], expected: list[str]
) -> None:
    certs.show_rotated(Report(), Rotated(ROTATION, renewed, None))
    certs.show_replaced(Report(), Replaced(AUTHORITIES, renewed))

    assert expected * 2 == capsys.readouterr().out.splitlines()


def test_a_stopped_k3s_issues_certificates_later(capsys: Captured) -> None:
    stopped = replace(ROTATION, running=False)

    certs.show_rotated(Report(), Rotated(stopped, (), DATA / "server/tls-1795822337"))

    assert (
        "K3s issues new certificates at its next start: k3s-rootless up\n"
        f"the earlier certificates and keys are in {DATA}/server/tls-1795822337\n"
    ) == capsys.readouterr().out


def test_problems_of_new_authorities_follow_the_steps(capsys: Captured) -> None:
    problem = "client-ca.crt: the present authority has not signed it"

    certs.show_authorities(Report(), replace(AUTHORITIES, problems=(problem,)))

    assert [
        "1. save in the datastore of K3s: server-ca.crt, client-ca.crt from /home/alice/new-ca",
        "2. restart K3s, which issues all other certificates again; all pods stop",
        f"problem: {problem}",
    ] == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("name", "show", "result"),
    [
        ("certs-list", certs.show_list, VALID),
        ("certs-rotate", certs.show_plan, ROTATION),
        ("certs-rotate", certs.show_rotated, Rotated(ROTATION, (ADMIN,), None)),
        ("certs-rotate-ca", certs.show_authorities, AUTHORITIES),
        ("certs-rotate-ca", certs.show_replaced, Replaced(AUTHORITIES, (ADMIN,))),
    ],
)
def test_json_is_one_document(
    capsys: Captured, name: str, show: Callable[[Report, Any], None], result: object
) -> None:
    show(Report(json_for=name), result)

    documents.require_one(capsys.readouterr().out, name)
