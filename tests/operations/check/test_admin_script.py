"""Tests that the script has the steps of an administrator, and notices name the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.errors import PreflightFailed, UnsupportedHost, UsageError
from k3s_rootless.finding import Finding, FixableBy, Remedy, Verdict
from k3s_rootless.observation import Known
from k3s_rootless.operations.check import admin_script
from k3s_rootless.operations.check.admin_script import AdminScript
from k3s_rootless.preflight.checks import checklist
from tests.operations.check.hosts import UID, context
from tests.preflight.trees import HOSTS
from tests.strategies import HEALTHY, sysctl

FORWARDING = sysctl("net.ipv4.ip_forward", Known("0"))


def script(
    root: Path, found: Sequence[Finding], *, undo: bool = False, host: str = "Debian 13"
) -> AdminScript:
    return admin_script.of_findings(context(HOSTS[host].plant(root)), found, undo=undo)


def test_the_script_covers_what_an_administrator_must_do(tmp_path: Path) -> None:
    found = script(tmp_path, checklist.judge(FORWARDING))

    assert ("sysctl.ip_forward",) == found.covers
    assert "net.ipv4.ip_forward" in found.text
    assert () == found.notices
    assert {
        "script": found.text,
        "undo": False,
        "covers": ["sysctl.ip_forward"],
        "errors": [],
    } == found.document()


def test_nothing_to_do_is_a_notice_and_no_script(tmp_path: Path) -> None:
    found = script(tmp_path, checklist.judge(HEALTHY))

    assert ("no change by an administrator is needed",) == found.notices
    assert ("", ()) == (found.text, found.covers)


def test_what_the_user_can_fix_is_not_in_the_script(tmp_path: Path) -> None:
    not_lingering = replace(FORWARDING, lingers=Known(value=False))

    found = script(tmp_path, checklist.judge(not_lingering))

    assert ("sysctl.ip_forward",) == found.covers
    (finding,) = (one for one in checklist.judge(not_lingering) if one.check == "session.linger")
    assert finding.remedy is not None
    assert (f"not in the script: session.linger; fix: {finding.remedy.text}",) == found.notices


def test_the_undo_covers_nothing(tmp_path: Path) -> None:
    found = script(tmp_path, checklist.judge(FORWARDING), undo=True)

    assert (True, ()) == (found.undo, found.covers)
    assert found.text.startswith("#!/bin/sh")


def test_nixos_gets_a_declaration(tmp_path: Path) -> None:
    found = script(tmp_path, checklist.judge(FORWARDING), host="NixOS")

    assert ("sysctl.ip_forward",) == found.covers
    assert "configuration of this NixOS host" in found.text
    assert "boot.kernel.sysctl" in found.text


def test_a_host_that_cannot_run_k3s_gets_no_script(tmp_path: Path) -> None:
    """Alpine has no systemd, so other changes of the host would be useless."""
    found = checklist.judge(replace(FORWARDING, systemd_booted=False))

    with pytest.raises(UnsupportedHost, match=r"systemd\.booted") as raised:
        script(tmp_path, found, host="Alpine")
    assert raised.value.hint
    ignoring = [one for one in found if one.check != "systemd.booted"]
    assert "net.ipv4.ip_forward" in script(tmp_path, ignoring, host="Alpine").text


def test_a_warning_that_no_remedy_fixes_is_named(tmp_path: Path) -> None:
    remedy = Remedy(FixableBy.NONE, "use another host")
    warned = Finding("host.clock", "Clock", Verdict.WARN, "slow", reason="late", remedy=remedy)

    found = script(tmp_path, [warned])

    notice = "not in the script: host.clock; cannot be fixed on this host: use another host"
    assert notice in found.notices


def test_an_undo_is_printed_even_if_no_script_would_be(tmp_path: Path) -> None:
    found = checklist.judge(replace(FORWARDING, systemd_booted=False))

    assert script(tmp_path, found, undo=True, host="Alpine").text


def test_the_host_is_read_for_the_selected_checks(tmp_path: Path) -> None:
    root = HOSTS["Debian 13"].plant(tmp_path)
    (root / "proc/sys/net/ipv4/ip_forward").write_text("0\n")
    here = context(root, uid=UID)

    found = admin_script.read(here, ["sysctl.ip_forward"], [], undo=False)
    ignored = admin_script.read(here, ["sysctl.ip_forward"], ["sysctl"], undo=False)

    assert ("sysctl.ip_forward",) == found.covers
    assert "" == ignored.text


def test_root_and_unknown_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PreflightFailed, match="as root"):
        admin_script.read(context(tmp_path, uid=0), [], [], undo=False)
    with pytest.raises(UsageError, match="xyzzy"):
        admin_script.read(context(tmp_path, uid=UID), [], ["xyzzy"], undo=False)
