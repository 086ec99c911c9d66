"""Injection of a fault: the finding of `check`, the effect on K3s, the fix, and the state after."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.e2e.conftest import UNIT, Tool
from tests.e2e.fault import Exits, Fault, Lacks, Refused, Unseen, Waits
from tests.e2e.fixing import follow
from tests.e2e.others import Others
from tests.machine import HOME

SCRIPT, BY_USER, MANUAL = "script", "commands of the user", "manual"
_PATIENCE = 120
_SHOW = f"systemctl --user show -P SubState -P Result {UNIT.name} | tr '\\n' ' '"
_ENDED = (
    f'case "$({_SHOW})" in *auto-restart*|*failed*|exit-code*|signal*) echo exited; exit;; esac'
)
_STATE = HOME / ".rancher/k3s/rootless"
_EVENTS = HOME / ".rancher/k3s/standin-events.jsonl"
# The invocation id selects the events of this start: the file also has those of earlier starts.
_READY = (
    f'grep -s node-ready {_EVENTS} | grep -q "$(systemctl --user show -P InvocationID {UNIT.name})"'
    " && { echo ready; exit; }"
)


@dataclass
class Injected:
    """Result of a fault.

    `named` is the finding of its check, and `also` has the ids of other checks with a problem.
    `shown` is the effect on K3s, with its message if it printed one. `fix` is the kind of fix.
    `passes` and `starts` show whether the check passes and K3s is ready afterwards, and `restored`
    whether the fault exists again after the script has undone its changes. `output` is that of an
    `up` that failed at the end.
    """

    named: dict[str, Any]
    code: int
    also: list[str]
    shown: str = ""
    fix: str = ""
    passes: bool = False
    starts: bool | None = None
    restored: bool | None = None
    output: str = ""
    peers: dict[str, list[str]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the result for a JSON file."""
        return asdict(self)


def findings(tool: Tool, *ids: str) -> dict[str, dict[str, Any]]:
    """Run `check`, and return its findings by their ids."""
    return {one["check"]: one for one in tool.json("check", *ids)["checks"]}


def bad(finding: dict[str, Any]) -> bool:
    """Return whether a finding requires an action."""
    return finding["verdict"] not in {"pass", "info"}


def inject(
    tool: Tool,
    fault: Fault,
    known: frozenset[str] = frozenset(),
    *,
    whole: bool = True,
    others: Others | None = None,
) -> Injected:
    """Inject a fault into a host with no other faults than `known`, follow it, and remove it.

    Without `whole`, K3s is not started again at the end.
    """
    stop(tool)
    fault.before(tool)
    try:
        fault.breaks(tool)
        done = tool("check", "--json", *tool.ignore)
        found = {one["check"]: one for one in json.loads(done.stdout)["checks"]}
        also = sorted(
            name for name, one in found.items() if bad(one) and name not in {*known, fault.check}
        )
        injected = Injected(found[fault.check], done.returncode, also)
        injected.peers = others.found() if others else {}
        injected.shown = shown(tool, fault)
        _fix(tool, fault, injected)
        if whole and not isinstance(fault.shows, Unseen):
            _start(tool, fault, injected)
            stop(tool)
        _undo(tool, fault, injected)
    finally:
        stop(tool)
        fault.clean(tool)
    return injected


def wrong(fault: Fault, one: dict[str, Any]) -> list[str]:
    """Return the unexpected results in the document of an injection; empty if there are none."""
    named = one["named"]
    fixable_by = (named["remedy"] or {}).get("fixable_by")
    return [
        *(
            ["not reported"]
            if (named["verdict"], fixable_by) != (fault.verdict, fault.fixable_by)
            else []
        ),
        *(["not fixed"] if not one["passes"] else []),
        *(["K3s is not ready afterwards"] if one["starts"] is False else []),
        *(["not undone"] if one["restored"] is False else []),
    ]


def stop(tool: Tool) -> None:
    """Stop K3s, and reset its failure."""
    # If the child of rootlesskit ended before it was ready, rootlesskit waits forever and ignores
    # SIGTERM. Its remains are not part of the fault.
    killed = (
        f"systemctl --user kill --signal=KILL {UNIT.name}; systemctl --user stop {UNIT.name}; rm"
        f" -rf {_STATE}"
    )
    script = (
        f"timeout 20 systemctl --user stop {UNIT.name} || {{ {killed}; }}; systemctl --user"
        f" reset-failed {UNIT.name}"
    )
    tool.machine.user("sh", "-c", script)


def shown(tool: Tool, fault: Fault) -> str:
    """Start K3s without `check`, and return the effect; assert that it is the expected one."""
    match fault.shows:
        case Unseen(reason):
            return f"not shown: {reason}"
        case Refused(text):
            done = tool.machine.user("systemctl", "--user", "start", UNIT.name)
            assert done.returncode != 0, fault.id
            assert text in done.stderr, done.stderr
            return f"systemd: {done.stderr.strip()}"
        case Exits(text):
            effect, since = _started(tool)
            message = _message(tool, since, "level=fatal", "level=error")
            assert "exited" == effect, (fault.id, effect, message)
            assert text in message, (fault.id, message)
            return f"exits: {message}"
        case Waits(text):
            effect, since = _started(tool, text)
            assert "logged" == effect, (fault.id, effect)
            return f"continues without: {_message(tool, since, text)}"
        case Lacks(command, effect):
            assert "ready" == _started(tool)[0], fault.id
            assert not _inside(tool, command), fault.id
            return effect
    raise AssertionError(fault.shows)


def _started(tool: Tool, text: str = "") -> tuple[str, str]:
    # The first effect, and the time after which its messages are searched.
    log = (
        "journalctl -q -o cat _SYSTEMD_INVOCATION_ID=$(systemctl --user show -P InvocationID"
        f" {UNIT.name})"
    )
    logged = f"{log} | grep -qF {json.dumps(text)} && {{ echo logged; exit; }};" if text else ""
    script = (
        f"date +@%s.%N; systemctl --user start {UNIT.name}; while :; do {logged} {_ENDED};"
        f" {_READY}; sleep 0.1; done"
    )
    if text:
        script = script.replace(f"{_READY};", "")
    output = tool.machine.user(
        "timeout", str(_PATIENCE), "sh", "-c", script, timeout=_PATIENCE + 30
    ).stdout.split()
    return (output[1] if len(output) > 1 else "nothing"), output[0]


def _message(tool: Tool, since: str, *texts: str) -> str:
    # Read as root, and since the first start: the unit may already be in its next start. The line
    # about the child in rootlesskit's parent only follows from the message of the child. Lines of a
    # process that ended immediately have no unit. journald may be late, and the next start logs the
    # same.
    read = (
        f"journalctl -q -o cat --since={since} _SYSTEMD_USER_UNIT={UNIT.name} +"
        " SYSLOG_IDENTIFIER=k3s"
    )
    found = (
        f"{read} | grep -F {json.dumps(one)} | grep -vF 'child died: parsing' | head -n 1"
        for one in texts
    )
    reads = "; ".join(f'[ -n "$message" ] || message=$({one})' for one in found)
    script = (
        f'for turn in $(seq 70); do message=; {reads}; [ -z "$message" ] || break; sleep 0.15;'
        ' done; printf %s "$message"'
    )
    return tool.machine.root("sh", "-c", script).stdout.strip()


def _inside(tool: Tool, command: str) -> bool:
    enter = f"nsenter -U --preserve-credentials -m -n -t $(cat {_STATE}/child_pid)"
    return 0 == tool.machine.user("sh", "-c", f"{enter} {command}").returncode


def _fix(tool: Tool, fault: Fault, injected: Injected) -> None:
    stop(tool)
    remedy = injected.named["remedy"]
    if fault.manual:
        injected.fix = f"{MANUAL}: {fault.manual}"
        fault.manual_fix(tool)
    elif fault.fixable_by == "administrator":
        injected.fix = SCRIPT
        script = tool("check", "--admin-script", fault.check)
        assert 0 == script.returncode, script.stderr
        tool.machine.root("tee", "/root/script", stdin=script.stdout).check_returncode()
        done = tool.machine.root("sh", "/root/script")
        assert 0 == done.returncode, (fault.id, done.stdout, done.stderr)
        if fault.check.startswith("cgroup."):
            follow(
                tool, {"fixable_by": "user", "commands": ["ssh localhost true", "k3s-rootless up"]}
            )
    else:
        injected.fix = BY_USER
        follow(tool, remedy)
    injected.passes = not bad(findings(tool, fault.check)[fault.check])


def _start(tool: Tool, fault: Fault, injected: Injected) -> None:
    done = tool.up("--json", "--timeout", f"{_PATIENCE}s")
    injected.starts = 0 == done.returncode and (
        not isinstance(fault.shows, Lacks) or _inside(tool, fault.shows.command)
    )
    if not injected.starts:
        injected.output = f"exit {done.returncode}: {done.stdout[-1500:]}"


def _undo(tool: Tool, fault: Fault, injected: Injected) -> None:
    # A realized controller stays enabled until the next boot.
    if injected.fix != SCRIPT or fault.check.startswith("cgroup."):
        return
    undone = tool.machine.root("sh", "/root/script", "--undo")
    assert 0 == undone.returncode, (fault.id, undone.stdout, undone.stderr)
    injected.restored = bad(findings(tool, fault.check)[fault.check])
