"""What must be installed and configured: newuidmap and newgidmap, subordinate ids, and K3s itself."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from shlex import quote

from k3s_rootless.finding import Mender, Remedy, Verdict
from k3s_rootless.observation import Observed, Unknown
from k3s_rootless.preflight import remedies
from k3s_rootless.preflight.facts import Facts, MapProgram, SubidRange
from k3s_rootless.preflight.judgement import Checklist, Judgement, failed, passed, unknown
from k3s_rootless.release import features

check = Checklist()
NEEDED_IDS = 65536
"""K3s maps the user and this many ids; `nobody` in images is 65534."""


def _map_program(name: str) -> Callable[[Facts], Judgement]:
    def judge_program(facts: Facts) -> Judgement:
        """K3s bundles neither program; each needs root's privilege to map more than one id."""
        found: Observed[MapProgram] = getattr(facts, name)
        if isinstance(found, Unknown):
            return unknown(found.reason)
        program = found.value
        if program.path is None:
            return failed("missing", f"{name} is not on the unit's PATH", remedies.package(facts.distribution), found.source)
        if program.nosuid:
            remedy = Remedy(Mender.ADMINISTRATOR, f"mount the file system of {program.path} without nosuid")
            return failed("on a nosuid mount", "its privilege has no effect there", remedy, program.path)
        if program.capable or (program.setuid and program.owner == 0):
            return passed("with file capabilities" if program.capable else "setuid root", program.path)
        reason = f"{name} has neither the setuid bit of root nor the file capability"
        return failed("without privilege", reason, remedies.setuid(program.path), program.path)

    return judge_program


for _name in ("newuidmap", "newgidmap"):
    check(f"uidmap.{_name}", _name)(_map_program(_name))


def _subids(kind: str) -> Callable[[Facts], Judgement]:
    def judge_ranges(facts: Facts) -> Judgement:
        """K3s maps all ranges of the user one after another."""
        found: Observed[tuple[SubidRange, ...]] = getattr(facts, kind)
        if isinstance(found, Unknown):
            return unknown(found.reason)
        total = sum(one.count for one in found.value)
        observed = ", ".join(f"{one.start}:{one.count}" for one in found.value) or "none"
        if total == 0:
            return failed(observed, f"no {kind} range for {facts.user}", remedies.subids(facts.user), found.source)
        if total < NEEDED_IDS:
            reason = f"{total} ids are fewer than the {NEEDED_IDS} that images expect"
            return failed(observed, reason, remedies.subids(facts.user), found.source)
        if _overlap(found.value):
            reason = "ranges overlap, and the kernel maps no id twice: newuidmap fails (rootlesskit #229)"
            remedy = Remedy(Mender.ADMINISTRATOR, f"delete the row of {facts.user} that repeats ids in /etc/{kind}")
            return failed(observed, reason, remedy, found.source)
        return passed(observed, found.source)

    return judge_ranges


def _overlap(ranges: tuple[SubidRange, ...]) -> bool:
    ordered = sorted((one.start, one.start + one.count) for one in ranges)
    return any(start < end for (_, end), (start, _) in pairwise(ordered))


for _name in ("subuid", "subgid"):
    check(f"subid.{_name}", f"Subordinate ids in {_name}")(_subids(_name))


@check("k3s.binary", "The k3s binary")
def k3s_binary(facts: Facts) -> Judgement:
    """The program that the unit starts, on the PATH of the user, of the unit, or in ~/.local/bin."""
    binary = facts.k3s
    if binary.path is None:
        return failed("missing", "there is no k3s on the PATH", remedies.k3s(facts.machine))
    if not binary.executable:
        remedy = Remedy(Mender.USER, "make it executable", (f"chmod 755 {quote(binary.path)}",))
        return failed("not executable", f"{binary.path} cannot be run", remedy, binary.path)
    if binary.writable_by_others or binary.owner not in {0, facts.uid}:
        remedy = Remedy(Mender.USER, "use a k3s that only you or root can write", remedies.k3s(facts.machine).commands)
        observed = "writable by everyone" if binary.writable_by_others else f"owned by uid {binary.owner}"
        return failed(observed, "somebody else could put another program in its place", remedy, binary.path)
    return passed(binary.path)


@check("k3s.version", "The release of K3s")
def k3s_version(facts: Facts) -> Judgement:
    """Only a release whose unit is known can be installed."""
    found = facts.k3s.version
    if found is None:
        return unknown("no k3s could be asked")
    newer = remedies.k3s(facts.machine)
    if isinstance(found, Unknown):
        return failed("no version", found.reason, newer)
    release = found.value
    if features.unit_variant(release) is None:
        return failed(str(release), "rootless K3s has a unit from v1.21 on, and needs v1.22 on most hosts", newer, found.source)
    if repaired := features.repaired_by(release):
        remedy = Remedy(Mender.USER, f"use {repaired} or later", newer.commands)
        return failed(str(release), "rootless K3s cannot start in this release (K3s #13667)", remedy, found.source)
    if release.line > features.NEWEST_KNOWN_LINE:
        line = ".".join(map(str, features.NEWEST_KNOWN_LINE))
        remedy = Remedy(Mender.USER, "look for a newer k3s-rootless", ("pipx upgrade k3s-rootless",))
        return Judgement(Verdict.WARN, str(release), found.source, f"newer than v{line}, the last that was read", remedy)
    return passed(str(release), found.source)
