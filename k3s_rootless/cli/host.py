"""Brings together what `check` and `up` judge: the probes of the host, and what only the user manager can show."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.errors import AdministratorNeeded, PreflightFailed, UnsupportedHost
from k3s_rootless.finding import Finding, Mender, Verdict, matches
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.preflight import checks, probes, remedies
from k3s_rootless.preflight.facts import Delegation, Facts
from k3s_rootless.release.features import UNIT_PATH

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session
    from k3s_rootless.service.facts import ControllerReach
    from k3s_rootless.service.systemd import UserManager

NEEDED = frozenset({"cpu", "cpuset", "memory", "pids"})
# NixOS keeps its privileged programs here, and the PATH of K3s's unit does not name it.
_NIX_WRAPPERS = "/run/wrappers/bin"


def examine(session: Session, manager: UserManager | None, reason: str = "") -> tuple[Facts, ControllerReach]:
    """Read everything; without a manager, `reason` says why there is none."""
    from k3s_rootless.service import delegation

    root = session.paths.root
    search = unit_search()
    reach = delegation.reach(manager, session.uid) if manager else delegation.unreachable(reason)
    answer: Observed[str] = Known(manager.version, "the user bus") if manager else Unknown(reason)
    facts = Facts(
        uid=session.uid,
        user=session.user,
        machine=os.uname().machine,
        systemd_booted=probes.systemd_booted(root),
        runtime=probes.runtime_directory(session.environ, session.paths.runtime),
        user_manager=answer,
        cgroup=probes.cgroup_mode(root),
        delegation=Delegation(reach.kernel, reach.configured, reach.realized, reach.effective),
        sysctls=probes.sysctls(root),
        namespace=probes.user_namespace(),
        newuidmap=probes.map_program("newuidmap", search, root),
        newgidmap=probes.map_program("newgidmap", search, root),
        subuid=probes.subids("subuid", root, session.user, session.uid),
        subgid=probes.subids("subgid", root, session.user, session.uid),
        k3s=probes.k3s_binary(session.environ, search, session.paths.home),
        distribution=probes.distribution(root),
    )
    return facts, reach


def unit_search() -> str:
    """Give the PATH of the unit: K3s's own, extended only where newuidmap lies elsewhere."""
    if shutil.which("newuidmap", path=UNIT_PATH) is None and (Path(_NIX_WRAPPERS) / "newuidmap").exists():
        return f"{_NIX_WRAPPERS}:{UNIT_PATH}"
    return UNIT_PATH


def judge(facts: Facts) -> tuple[Finding, ...]:
    """Judge the host by all checks."""
    return checks.judge(facts)


def failures(findings: Sequence[Finding], ignored: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Give the failed findings that nobody asked to ignore."""
    return tuple(
        finding
        for finding in findings
        if finding.verdict is Verdict.FAIL and not any(matches(finding.check, asked) for asked in ignored)
    )


def mended_by_up(finding: Finding) -> bool:
    """Tell whether `up` mends this itself: a user manager that only has to look again."""
    return finding.remedy == remedies.reexecute()


def refusal(failed: Sequence[Finding]) -> PreflightFailed:
    """Give the error that these failures amount to; the hardest decides the exit code."""
    names = ", ".join(finding.check for finding in failed)
    menders = {finding.remedy.mender for finding in failed if finding.remedy}
    message = f"this host is not ready for rootless K3s: {names}"
    if Mender.NOBODY in menders:
        return UnsupportedHost(message, hint="use another host; the reasons are above")
    if Mender.ADMINISTRATOR in menders:
        return AdministratorNeeded(message, hint="give the commands above to an administrator, then run `k3s-rootless check`")
    return PreflightFailed(message, hint="run the commands above, then `k3s-rootless check`")


def tell_release(session: Session, findings: Sequence[Finding]) -> None:
    """Say what is to be said of the release of K3s, where it is no reason to refuse it."""
    for finding in findings:
        if finding.verdict is Verdict.WARN and matches(finding.check, "k3s"):
            session.report.story(f"{finding.title}: {finding.observed}: {finding.reason}")


def require_k3s(session: Session, findings: Sequence[Finding]) -> None:
    """Refuse a host without a K3s that can be started; all else that is missing is told. Raises PreflightFailed."""
    failed = failures(findings)
    lacking = tuple(finding for finding in failed if matches(finding.check, "k3s"))
    if lacking:
        session.report.findings(lacking, to_stderr=True)
        raise refusal(lacking)
    tell_release(session, findings)
    if failed:
        names = ", ".join(finding.check for finding in failed)
        session.report.story(f"this host is not ready for rootless K3s: {names}; see: k3s-rootless check")


def require_known(ids: Sequence[str]) -> None:
    """Refuse an id that names no check and no group of checks. Raises UsageError."""
    import difflib

    from k3s_rootless.errors import UsageError

    words = [check.id.split(".") for check in checks.CHECKS]
    known = {".".join(parts[:length]) for parts in words for length in range(1, len(parts) + 1)}
    for asked in ids:
        if asked not in known:
            close = difflib.get_close_matches(asked, sorted(known), n=1)
            hint = f"did you mean `{close[0]}`?" if close else "see the ids with: k3s-rootless check --json"
            raise UsageError(f"there is no check `{asked}`", hint=hint)
