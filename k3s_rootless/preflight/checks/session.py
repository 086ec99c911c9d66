"""Checks of the session: an ordinary user, systemd and its unit, and control groups."""

from __future__ import annotations

from collections.abc import Callable
from shlex import quote

from k3s_rootless.finding import FixableBy, Remedy, disable_drop_in
from k3s_rootless.k3s import features
from k3s_rootless.k3s.version import Version
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.paths import OUR_DROP_IN, UNIT
from k3s_rootless.preflight.checks.judgement import (
    DEGRADED,
    FATAL,
    INFORMATIVE,
    Checklist,
    Judgement,
    failed,
    info,
    passed,
    unknown,
    warned,
)
from k3s_rootless.preflight.facts import CgroupMode, Facts
from k3s_rootless.preflight.records import Caller, Machine, Problem, Unit
from k3s_rootless.preflight.remedies import drop_ins, host

check = Checklist()


@check("user.nonroot", "User", FATAL)
def user_nonroot(facts: Facts) -> Judgement:
    """Check that the user is not root.

    Rootless K3s of root would run in a user namespace of root, which upstream does not support.
    """
    if facts.uid == 0:
        remedy = Remedy(
            FixableBy.USER, "run k3s-rootless as the user who should own K3s, without sudo"
        )
        return failed("root (uid 0)", "rootless K3s is not supported for root", remedy)
    return passed(f"{facts.user} (uid {facts.uid})")


@check("systemd.booted", "Init system", FATAL)
def systemd_booted(facts: Facts) -> Judgement:
    """Check that systemd is the init of the host; the rootless unit of K3s is a systemd unit."""
    if not facts.systemd_booted:
        remedy = Remedy(FixableBy.NONE, "use a host with systemd as its init system")
        return failed("not systemd", "rootless K3s runs as a unit of systemd", remedy)
    return passed("systemd", "/run/systemd/system")


@check("session.runtime_dir", "Runtime directory", FATAL)
def session_runtime_dir(facts: Facts) -> Judgement:
    """Check XDG_RUNTIME_DIR, which leads to the user manager; su and sudo keep another user's."""
    runtime = facts.runtime
    if not runtime.exists:
        observed = f"{runtime.path} does not exist, or is not a directory"
        reason = "this user has no session: systemd creates the runtime directory at login"
        return failed(observed, reason, host.session())
    if runtime.owner != facts.uid:
        observed = f"{runtime.path} belongs to uid {runtime.owner}"
        return failed(
            observed,
            "XDG_RUNTIME_DIR is set to the directory of another user",
            host.runtime_directory(runtime.path, facts.uid),
        )
    if runtime.mode & 0o077:
        command = f"chmod 700 {quote(runtime.path)}"
        remedy = Remedy(FixableBy.USER, "allow access for yourself only", (command,))
        observed = f"{runtime.path} has mode {runtime.mode:04o}"
        return warned(observed, "other users can access its files", remedy)
    if runtime.given:
        return passed(runtime.path, "XDG_RUNTIME_DIR")
    return passed(runtime.path, "derived from the uid, because XDG_RUNTIME_DIR is not set")


@check("systemd.user", "systemd user manager", FATAL, "user_manager")
def systemd_user(facts: Facts) -> Judgement:
    """Check that `systemd --user` answers over D-Bus."""
    manager = facts.user_manager
    if isinstance(manager, Unknown):
        missing_bus = facts.runtime.exists and facts.runtime.owner == facts.uid
        remedy = host.bus() if missing_bus else host.session()
        return failed("no response", manager.reason, remedy)
    return passed(f"systemd {manager.value}", manager.source)


@check("cgroup.v2", "cgroup version", FATAL, "cgroup")
def cgroup_v2(facts: Facts) -> Judgement:
    """Check that only cgroup v2 is mounted.

    K3s v1.22 and later needs its controllers, and cgroup v2 has none if v1 is mounted too.
    """
    mode = facts.cgroup
    if isinstance(mode, Unknown):
        return unknown(mode.reason)
    if mode.value is not CgroupMode.UNIFIED:
        reason = (
            "rootless K3s needs the controllers of cgroup v2, and cgroup v2 has none if cgroup v1"
            " is mounted too"
        )
        return failed(mode.value.value, reason, host.unified(), mode.source)
    return passed(mode.value.value, mode.source)


def _delegation(controller: str) -> Callable[[Facts], Judgement]:
    def judge_controller(facts: Facts) -> Judgement:
        """Check that a unit with Delegate=yes is given the controller.

        The cgroups above such a unit can have more controllers than the unit (systemd 257).
        """
        reach = facts.delegation
        if isinstance(reach.effective, Unknown):
            return unknown(reach.effective.reason)
        if controller in reach.effective.value:
            return passed("delegated", reach.effective.source)
        observed, reason, remedy = _missing(controller, facts)
        if controller == "pids" and _runs_without_pids(facts.k3s.version):
            reason = f"{reason}; this release of K3s then runs pods without limits"
            return warned(observed, reason, remedy, reach.effective.source)
        if controller == "io":
            # K3s starts without io: its pkg/cgroups validates cpu, cpuset and memory, and the
            # kubelet validates pids.
            return warned(observed, reason, remedy, reach.effective.source)
        return failed(observed, reason, remedy, reach.effective.source)

    return judge_controller


def _runs_without_pids(version: Observed[Version] | None) -> bool:
    # Without pids, the kubelet of v1.21 has no cgroup driver, which later releases refuse (K3s
    # #4065). Without cpu, cpuset or memory, v1.21 exits.
    return isinstance(version, Known) and not features.CONTROLLERS_REQUIRED.holds(version.value)


def _missing(controller: str, facts: Facts) -> tuple[str, str, Remedy]:
    reach = facts.delegation
    if not isinstance(reach.kernel, Unknown) and controller not in reach.kernel.value:
        reason = (
            f"cgroup v2 of this host has no {controller} controller: it is disabled, or in use by"
            " cgroup v1"
        )
        return (
            "not available in cgroup v2",
            reason,
            host.kernel_controller(controller, reach.kernel.value),
        )
    if _has(reach.realized, controller):
        reason = (
            f"user@{facts.uid}.service has {controller}, but the running user manager does not"
            " delegate it to units"
        )
        return "realized, not effective", reason, host.reexecute()
    if _has(reach.configured, controller):
        reason = (
            f"user@{facts.uid}.service was started before it was configured to delegate"
            f" {controller}"
        )
        return "configured, not realized", reason, host.realize()
    return (
        "not delegated",
        f"systemd does not delegate {controller} to units of this user",
        host.delegate(),
    )


def _has(controllers: Observed[frozenset[str]], controller: str) -> bool:
    return not isinstance(controllers, Unknown) and controller in controllers.value


for _name, _worst, _facts in (
    ("cpu", FATAL, ("delegation",)),
    ("cpuset", FATAL, ("delegation",)),
    ("memory", FATAL, ("delegation",)),
    ("pids", FATAL, ("delegation", "k3s")),
    ("io", DEGRADED, ("delegation",)),
):
    check(f"cgroup.delegation.{_name}", f"cgroup controller {_name}", _worst, *_facts)(
        _delegation(_name)
    )


@check.seen("systemd.version", "systemd version", FATAL, "user_manager")
def systemd_version(_: Facts, seen: Known[str]) -> Judgement:
    """Check the version of systemd; Delegate= supports cpuset since systemd 244."""
    digits = seen.value.partition(".")[0].partition(" ")[0].partition("~")[0].partition("-")[0]
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 5):
        return unknown(f"{seen.source} reported a version that is not a number: {seen.value!r}")
    if int(digits) < 244:
        remedy = Remedy(
            FixableBy.ADMINISTRATOR,
            "upgrade to a distribution release with systemd 244 or later",
        )
        reason = "systemd before 244 cannot delegate the cpuset controller"
        return failed(digits, reason, remedy, seen.source)
    return passed(digits, seen.source)


@check.seen("session.caller", "Login session", INFORMATIVE, "caller")
def session_caller(facts: Facts, seen: Known[Caller]) -> Judgement:
    """Report a caller without a session (su, sudo, cron).

    K3s itself needs only the user manager.
    """
    if seen.value.sudo and facts.uid != 0:
        return info(
            f"called through sudo by {seen.value.sudo}",
            "sudo does not open a session of this user; if something fails, log in directly",
            "SUDO_USER",
        )
    if f"/user-{facts.uid}.slice" not in seen.value.cgroup:
        return info(
            seen.value.cgroup or "unknown",
            "this process is not in a session of this user",
            seen.source,
        )
    return passed(seen.value.cgroup.rpartition("/")[2], seen.source)


@check.seen("session.linger", "Lingering", DEGRADED, "lingers")
def session_linger(_: Facts, seen: Known[bool]) -> Judgement:
    """Check lingering: without it, K3s stops with the last session and does not start at boot."""
    if seen.value:
        return passed("on", seen.source)
    remedy = Remedy(FixableBy.USER, "enable lingering", ("k3s-rootless linger on",))
    reason = "K3s stops when your last session ends, and does not start at boot"
    return warned("off", reason, remedy, seen.source)


@check.seen("session.journal", "Journal", INFORMATIVE, "host")
def session_journal(_: Facts, seen: Known[Machine]) -> Judgement:
    """Check the journal: users can read only a persistent one (systemd-journald.service(8))."""
    if seen.value.journal:
        return passed("persistent", "/var/log/journal")
    return info(
        "volatile",
        "`logs` and `diagnose` may find nothing: users cannot read a journal in /run",
        "/var/log/journal",
    )


@check.seen("unit.state", f"Unit {UNIT}", FATAL, "unit")
def unit_state(_: Facts, seen: Known[Unit]) -> Judgement:
    """Check that the unit is not masked, not broken, and not without Delegate=yes by a drop-in."""
    unit = seen.value
    if unit.load_state == "masked":
        unmask = (f"systemctl --user unmask {UNIT}", f"systemctl --user unmask --runtime {UNIT}")
        remedy = Remedy(FixableBy.USER, "unmask the unit", (*unmask, "k3s-rootless up"))
        reason = "systemd cannot start the unit: it is linked to /dev/null"
        return failed("masked", reason, remedy, seen.source)
    if unit.load_state in {"error", "bad-setting"}:
        remedy = Remedy(
            FixableBy.USER,
            "rewrite the unit; a copy of the old unit is kept",
            ("k3s-rootless up --force",),
        )
        reason = f"systemd cannot load the unit: {unit.load_error or 'no reason is reported'}"
        return failed(unit.load_state, reason, remedy, seen.source)
    if unit.load_state == "loaded" and unit.delegate is False:
        source = ", ".join(unit.drop_ins) or seen.source
        return failed(
            "Delegate=no",
            "K3s exits if its unit does not have Delegate=yes",
            _delegating_again(unit),
            source,
        )
    if unit.load_state == "loaded":
        return _unit_to_know(unit, seen.source)
    return passed("not installed", seen.source)


def _delegating_again(unit: Unit) -> Remedy:
    others = [path for path in unit.drop_ins if not OUR_DROP_IN.fullmatch(path.rpartition("/")[2])]
    if len(others) != 1:
        commands = (f"systemctl --user cat {UNIT}", "k3s-rootless up --force")
        text = "delete the drop-in that sets Delegate=no, or rewrite the unit"
        return Remedy(FixableBy.USER, text, commands)
    return disable_drop_in(others[0], "k3s-rootless up")


def _unit_to_know(unit: Unit, source: str) -> Judgement:
    if unit.active_state == "failed":
        return info(
            f"failed ({unit.result})",
            "the last start failed; `k3s-rootless diagnose` shows the cause",
            source,
        )
    if unit.needs_reload:
        reason = "systemd has not reloaded the unit yet; `k3s-rootless up` does it"
        return info("changed on disk", reason, source)
    if unit.drop_ins:
        return info(
            f"{unit.active_state}, with drop-ins",
            f"these drop-ins change its settings: {', '.join(unit.drop_ins)}",
            source,
        )
    return passed(unit.active_state, source)


_GOOD = {
    "K3S_ROOTLESS_CIDR": "10.41.0.0/16",
    "K3S_ROOTLESS_MTU": "1500",
    "K3S_ROOTLESS_PORT_DRIVER": "builtin",
    "K3S_ROOTLESS_ENABLE_IPV6": "false",
    "K3S_ROOTLESS_DISABLE_HOST_LOOPBACK": "true",
}
"""A value that K3s accepts, for each variable that has one for all hosts."""


@check.seen("env.valid", "Environment variables of K3s", FATAL, "problems")
def env_valid(_: Facts, seen: Known[tuple[Problem, ...]]) -> Judgement:
    """Check the variables of K3s in the unit's environment.

    K3s exits if K3S_ROOTLESS_CIDR is invalid, and uses its default for most other invalid values.
    """
    problems = sorted(seen.value, key=lambda one: not one.fatal)
    if not problems:
        return passed("valid", seen.source)
    names = tuple(dict.fromkeys(one.name for one in problems))
    text = (
        f"correct or unset {', '.join(names)}; `k3s-rootless env list` shows where each variable"
        " is set"
    )
    commands = tuple(command for name in names for command in _valid(name))
    judge = failed if problems[0].fatal else warned
    reason = "; ".join(f"{one.name}: {one.reason}" for one in problems)
    remedy = Remedy(FixableBy.USER, text, (*commands, "k3s-rootless up"))
    return judge(", ".join(names), reason, remedy, seen.source)


def _valid(name: str) -> tuple[str, ...]:
    """Return the commands that set a variable to a value that K3s accepts, or unset it."""
    good = _GOOD.get(name)
    if good:
        return (f"k3s-rootless env set {name}={good}",)
    # `env unset` removes only what `env set` has set. This command also removes what other files
    # set.
    return drop_ins.variable("", name, f"UnsetEnvironment={name}").commands[:-1]
