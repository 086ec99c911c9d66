"""Checks of the k3s binary and its release."""

from __future__ import annotations

from shlex import quote

from k3s_rootless.finding import FixableBy, Remedy
from k3s_rootless.k3s import features
from k3s_rootless.observation import Unknown
from k3s_rootless.preflight.checks.judgement import (
    FATAL,
    Checklist,
    Judgement,
    failed,
    passed,
    unknown,
    warned,
)
from k3s_rootless.preflight.facts import Facts
from k3s_rootless.preflight.remedies.k3s_binary import instead, missing

check = Checklist()


@check("k3s.binary", "The k3s binary", FATAL, "k3s")
def k3s_binary(facts: Facts) -> Judgement:
    """Check the k3s of the unit: on the PATH of the user or the unit, or in ~/.local/bin."""
    binary = facts.k3s
    if binary.path is None:
        return failed("missing", "there is no k3s on the PATH", missing(facts.machine))
    if not binary.executable:
        remedy = Remedy(FixableBy.USER, "make it executable", (f"chmod 755 {quote(binary.path)}",))
        return failed("not executable", f"{binary.path} cannot be run", remedy, binary.path)
    if binary.risk:
        text = (
            "use a k3s that only you and root can change, in directories that only you and root can"
            " change"
        )
        remedy = Remedy(FixableBy.USER, text, missing(facts.machine).commands)
        reason = f"another user could replace it, so it was not run: {binary.risk}"
        return failed("not trusted", reason, remedy, binary.path)
    return passed(binary.path)


@check("k3s.version", "The release of K3s", FATAL, "k3s")
def k3s_version(facts: Facts) -> Judgement:
    """Check the release of K3s; only a release with a known unit can be installed."""
    found = facts.k3s.version
    if found is None:
        return unknown("no k3s could be asked")
    newer = instead(facts.k3s, facts.machine, facts.uid)
    if isinstance(found, Unknown):
        return failed("no version", found.reason, newer)
    release = found.value
    if features.unit_variant(release) is None:
        reason = (
            f"{facts.k3s.path} is too old: rootless K3s has a unit from v1.21 on, and needs v1.22"
            " on most hosts"
        )
        return failed(str(release), reason, newer, found.source)
    repaired = features.repaired_by(release)
    if repaired:
        remedy = instead(facts.k3s, facts.machine, facts.uid, repaired)
        reason = f"{facts.k3s.path}: rootless K3s cannot start in this release (K3s #13667)"
        return failed(str(release), reason, remedy, found.source)
    if release.line > features.NEWEST_KNOWN_LINE:
        line = ".".join(map(str, features.NEWEST_KNOWN_LINE))
        remedy = Remedy(
            FixableBy.USER, "look for a newer k3s-rootless", ("pipx upgrade k3s-rootless",)
        )
        reason = f"newer than v{line}, the last that was read"
        return warned(str(release), reason, remedy, found.source)
    return passed(str(release), found.source)
