"""Show the results of the commands that start, stop and install K3s."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from k3s_rootless.observation import Unknown
from k3s_rootless.operations.launch import document

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.operations.install import Installed
    from k3s_rootless.operations.launch.sequence import Plan
    from k3s_rootless.operations.launch.started import Started
    from k3s_rootless.operations.stop import Stopped

_CHECK = "check whether it is ready with: k3s-rootless status"


def show_plan(report: Report, plan: Plan) -> None:
    """Print the steps of `up`, and which running programs they stop."""
    for number, step in enumerate(plan.steps, 1):
        report.answer(f"{number}. {step.describe()}: {step.cause}")
    if not plan.steps:
        report.answer("nothing to do")
    if plan.outage is not None:
        report.answer(f"{plan.outage.describe()}; `up` asks for confirmation, or needs --restart")
    report.document(document.of_plan(plan))


def show_up(report: Report, started: Started) -> None:
    """Print the state of K3s after `up`."""
    if started.ready is None:
        what = "K3s was already running"
        if started.by_us:
            what = "K3s was started"
        report.answer(f"{what}; {_CHECK}")
    elif started.ready and started.by_us and started.kubeconfig is not None:
        report.answer(f"K3s is ready ({started.seconds:.1f} s)\n")
        for line in _next_steps(started.kubeconfig):
            report.verbatim(line)
    elif started.ready:
        report.answer(
            f"K3s is ready ({started.seconds:.1f} s); list its ports with: k3s-rootless ports"
        )
    else:
        report.answer(_starting(started))
    report.document(document.of_up(started))


def show_foreground(report: Report, started: Started) -> None:
    """Print that K3s is ready, and how to use and stop it; its own lines follow."""
    report.answer(f"K3s is ready ({started.seconds:.1f} s); stop it with Ctrl-C\n")
    if started.kubeconfig is not None:
        for line in _next_steps(started.kubeconfig):
            report.verbatim(line)


def show_restart(report: Report, started: Started) -> None:
    """Print the state of K3s after `restart`."""
    if started.ready is None:
        report.answer(f"K3s was restarted; {_CHECK}")
    elif started.ready:
        report.answer(f"K3s is ready ({started.seconds:.1f} s)")
    else:
        report.answer(_starting(started))
    report.document(document.of_restart(started))


def show_stop(report: Report, stopped: Stopped) -> None:
    """Print that K3s is stopped, and when it starts again."""
    line = "K3s is stopped."
    if stopped.enabled:
        line += f" It starts again {_next_start(stopped)}."
    report.answer(line)
    report.document(document.of_stop(stopped))


def show_install(report: Report, installed: Installed) -> None:
    """Print that the unit is installed."""
    what, how = "nothing to do: the unit is installed and enabled", "k3s-rootless up"
    if installed.steps:
        what = "K3s is installed for this user"
    if not installed.enabled:
        what = "the unit is installed, and does not start at login or boot"
        how = "k3s-rootless restart (`up` also enables it)"
    report.answer(f"{what}; start it with: {how}")
    report.document(document.of_install(installed))


def show_lingering(report: Report, *, lingers: bool) -> None:
    """Print whether lingering is on."""
    if lingers:
        report.answer("lingering is on: K3s keeps running after logout")
    else:
        report.answer("lingering is off: K3s stops when your last session ends")
    report.document(document.of_lingering(lingers=lingers))


def _next_steps(kubeconfig: Path) -> Iterator[str]:
    """Yield commands that can be pasted, each with a comment."""
    commands = {
        f"export KUBECONFIG={shlex.quote(str(kubeconfig))}": "let kubectl use this cluster",
        "k3s-rootless kubectl get pods -A": "list its pods",
        "k3s-rootless ports": "show where its Services are reachable",
    }
    width = max(map(len, commands))
    for command, comment in commands.items():
        yield f"{command:<{width}}  # {comment}"


def _starting(started: Started) -> str:
    return f"K3s is starting ({started.seconds:.1f} s); last phase reached: {started.last_phase}"


def _next_start(stopped: Stopped) -> str:
    if isinstance(stopped.lingers, Unknown):
        return "at your next login (or at boot, if lingering is on)"
    if stopped.lingers.value:
        # logind starts the user manager at boot, so it is already running at login.
        return "at the next boot, because lingering is on"
    return "at your next login"
