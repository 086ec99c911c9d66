"""Read what the programs that are run with K3s need: its files, its port and its namespaces."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import trust
from k3s_rootless.errors import NotReady, NotRunning, PreflightFailed, RootlessError
from k3s_rootless.k3s import layout
from k3s_rootless.node.facts import Surroundings
from k3s_rootless.operations import server_settings
from k3s_rootless.rootlesskit import state as rootlesskit
from k3s_rootless.service.observe import files

if TYPE_CHECKING:
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

_DEFAULT_SNAPSHOTTER = "overlayfs"


def read(context: Context) -> tuple[UnitState, Surroundings]:
    """Return the state of the unit, and what is known of its K3s. Raises RootlessError."""
    state = context.k3s_unit()
    settings = server_settings.of(context, state)
    found = Surroundings(
        program=_program(context, state),
        release=files.release_of(state.fragment),
        running=state.running,
        home=context.paths.home,
        data=settings.data,
        kubeconfig=settings.kubeconfig,
        port=settings.https_port,
        snapshotter=settings.value("snapshotter").text or _DEFAULT_SNAPSHOTTER,
        config=settings.config_path,
        unpacked=unpacked(state, settings.data),
        etcd=(settings.data / layout.ETCD).is_dir(),
    )
    return state, found


def child(context: Context, state: UnitState, what: str) -> int:
    """Return the process that owns the namespaces of the running K3s.

    `what` is the program that needs them. Raises NotRunning, NotReady, RootlessError.
    """
    require_running(state, what)
    if server_settings.of(context, state).agentless:
        raise RootlessError(
            f"cannot run `{what}`: K3s runs without its agent, so it has no namespaces and no"
            " containers",
            hint="start the agent: k3s-rootless config unset disable-agent",
        )
    for directory in _state_directories(context, state):
        try:
            return rootlesskit.child(directory)
        except (OSError, ValueError):
            continue
    raise NotReady(
        f"cannot run `{what}`: K3s has not created its namespaces yet",
        hint="wait until K3s is ready: k3s-rootless up",
    )


def require_running(state: UnitState, what: str) -> None:
    """Raise NotRunning if the unit does not run; `what` is the program that needs K3s."""
    if not state.running:
        raise NotRunning(
            f"cannot run `{what}`: K3s is not running", hint="start it with: k3s-rootless up"
        )


def _state_directories(context: Context, state: UnitState) -> tuple[Path, ...]:
    held = rootlesskit.of_process(state.main_pid)
    if held is not None:
        return (held,)
    # With `--log`, K3s runs as a child of the main process.
    settings: Settings = server_settings.of(context, state)
    release = files.release_of(state.fragment)
    paths = rootlesskit.sockets(settings, release, uid=context.uid)
    return tuple(dict.fromkeys(path.parent for path in paths))


def _program(context: Context, state: UnitState) -> str:
    program = next(iter(state.argv), "")
    if not program.startswith("/"):
        # Imported here: only a command without a unit searches for k3s.
        from k3s_rootless.operations import k3s_search

        program = k3s_search.located(context).path or ""
    if not program:
        raise PreflightFailed(
            "cannot find k3s: there is no unit, and no k3s on the PATH",
            hint="download and install it with: k3s-rootless up --get",
        )
    risk = trust.risk(Path(program))
    if risk:
        raise RootlessError(f"cannot run `{program}`: it is not trusted because {risk}")
    return program


def unpacked(state: UnitState, data: Path) -> Path | None:
    """Return the directory of the programs that the running K3s unpacked.

    `current` is a link to the last ones that were unpacked, which is another directory after a
    downgrade. Therefore the program of the running process counts first.
    """
    place = Path(os.path.realpath(data / layout.UNPACKED))
    try:
        running = Path(f"/proc/{state.main_pid}/exe").readlink()
    except OSError:
        running = Path("/")
    if running.parent.name == "bin" and running.parent.parent.parent == place:
        return running.parent
    last = place / "current" / "bin"
    if not last.is_dir():
        return None
    return last
