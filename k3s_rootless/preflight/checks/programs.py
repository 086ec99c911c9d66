"""Checks of the k3s binary and its release."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from shlex import quote

from k3s_rootless.finding import FixableBy, Remedy
from k3s_rootless.k3s import features
from k3s_rootless.k3s.version import Version, parse
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.preflight.checks.judgement import (
    DEGRADED,
    FATAL,
    Checklist,
    Judgement,
    failed,
    info,
    passed,
    unknown,
    warned,
)
from k3s_rootless.preflight.facts import Facts
from k3s_rootless.preflight.records import Offer
from k3s_rootless.preflight.remedies.k3s_binary import instead, missing, supported

check = Checklist()
_SUPPORTED = 3
"""The number of minor versions that Kubernetes maintains (kubernetes.io/releases)."""
_FINAL = 3
"""The stage of a version that is no pre-release."""


@check("k3s.binary", "k3s binary", FATAL, "k3s")
def k3s_binary(facts: Facts) -> Judgement:
    """Check the k3s of the unit: on the PATH of the user or the unit, or the release in use."""
    binary = facts.k3s
    if binary.path is None:
        return failed(
            "not found",
            "k3s is not in PATH, ~/.local/bin or ~/bin, and no release of it is in use",
            missing(facts.machine),
        )
    if not binary.executable:
        remedy = Remedy(FixableBy.USER, "make it executable", (f"chmod 755 {quote(binary.path)}",))
        return failed("not executable", f"{binary.path} cannot be executed", remedy, binary.path)
    if binary.risk:
        text = (
            "use a k3s binary that only you and root can change, in directories that only you and"
            " root can change"
        )
        remedy = Remedy(FixableBy.USER, text, missing(facts.machine).commands)
        reason = f"another user could replace this file, so it was not run: {binary.risk}"
        return failed("not trusted", reason, remedy, binary.path)
    return passed(binary.path)


@check("k3s.version", "K3s release", FATAL, "k3s")
def k3s_version(facts: Facts) -> Judgement:
    """Check the release of K3s; only a release with a known unit can be installed."""
    found = facts.k3s.version
    if found is None:
        return unknown("no k3s binary could be run; see k3s.binary")
    newer = instead(facts.k3s, facts.machine, facts.uid)
    if isinstance(found, Unknown):
        return failed("no version", found.reason, newer)
    release = found.value
    if features.unit_variant(release) is None:
        reason = (
            f"{facts.k3s.path} is too old: the rootless unit of K3s exists since v1.21, and most"
            " hosts need v1.22"
        )
        return failed(str(release), reason, newer, found.source)
    repaired = features.repaired_by(release)
    if repaired:
        remedy = instead(facts.k3s, facts.machine, facts.uid, repaired)
        reason = f"{facts.k3s.path}: this release cannot start rootless (K3s #13667)"
        return failed(str(release), reason, remedy, found.source)
    if release.line > features.NEWEST_KNOWN_LINE:
        line = ".".join(map(str, features.NEWEST_KNOWN_LINE))
        remedy = Remedy(FixableBy.USER, "upgrade k3s-rootless", ("pipx upgrade k3s-rootless",))
        reason = f"newer than v{line}, the newest release known to this k3s-rootless"
        return warned(str(release), reason, remedy, found.source)
    return passed(str(release), found.source)


@check.seen("k3s.support", "Support of the K3s release", DEGRADED, "offers", "k3s")
def k3s_support(facts: Facts, seen: Known[tuple[Offer, ...]]) -> Judgement:
    """Compare the release with the last known answer of K3s's channels.

    The channels of old minor versions stay for ever, so they do not show what is supported.
    """
    found = facts.k3s.version
    if found is None:
        return unknown("no k3s binary could be run; see k3s.binary")
    if isinstance(found, Unknown):
        return unknown(found.reason)
    offered = _offered(seen.value)
    if not offered:
        return info(
            "not known",
            "only `k3s-rootless release list --remote` queries K3s's channels, and it has not been"
            " run yet",
        )
    return _support(found.value, offered, seen.source)


@check.seen("k3s.ipset", "ipset of K3s", DEGRADED, "ipset", "unit")
def k3s_ipset(_: Facts, seen: Known[str | None]) -> Judgement:
    """Check that K3s finds ipset, without which it does not enforce NetworkPolicies.

    K3s's releases contain it. A K3s that was built from source may not, and prints one warning.
    """
    if seen.value is None:
        reason = (
            "this K3s does not contain it; the API server accepts NetworkPolicies, and K3s does not"
            " enforce them"
        )
        text = "use a release of K3s, which contains ipset, or install the package ipset"
        remedy = Remedy(FixableBy.USER, text, ("k3s-rootless release get",))
        return warned("not found", reason, remedy, seen.source)
    return passed(seen.value or "part of K3s, which has not unpacked itself yet", seen.source)


def _support(release: Version, offered: Mapping[Version, datetime], source: str) -> Judgement:
    newest = max(offered)
    if release.line < (newest.major, newest.minor - _SUPPORTED + 1):
        return warned(
            f"{release}, out of support",
            f"Kubernetes supports {_SUPPORTED} minor versions, and the newest one is"
            f" {_line(newest.line)} (as known on {offered[newest]:%Y-%m-%d})",
            supported(_line((release.line[0], release.line[1] + 1))),
            source,
        )
    patch = max((one for one in offered if one.line == release.line), default=newest)
    known = f"as known on {offered[patch]:%Y-%m-%d}"
    if patch.line == release.line and patch > release and not release.commit_build:
        return info(
            f"{release}; {patch} is available",
            f"{known}; `k3s-rootless up --get {patch} --restart` gets it and restarts K3s",
        )
    return passed(f"{release}; no newer {_line(release.line)} {known}", source)


def _offered(offers: Iterable[Offer]) -> dict[Version, datetime]:
    """Return the releases that are offered, without pre-releases, and when each was known."""
    found: dict[Version, datetime] = {}
    for one in offers:
        version = parse(one.version)
        if version is not None and version.stage == _FINAL:
            found[version] = max(one.date, found.get(version, one.date))
    return found


def _line(line: tuple[int, int]) -> str:
    return f"v{line[0]}.{line[1]}"
