"""Run one program inside a booted lab, and represent it outside.

Signals are forwarded to the program, and this process ends in the same way as the program:

    enter.py PID CGROUP USER:UID:GID:HOME NAME=VALUE... -- PROGRAM ARGUMENT...

nsenter(1) forwards no signals, and when nsenter is killed, the program keeps running. This file
runs as a separate program with `python -I -S`, so that the caller gets an ordinary child process
from any thread.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import NoReturn

# Mount, cgroup, UTS, IPC, PID and network namespaces.
_NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000
_PR_SET_PDEATHSIG = 1
_FORWARDED = {
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCONT,
    signal.SIGWINCH,
}
_libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: list[str]) -> NoReturn:
    """Enter the lab, run the program, wait until it ends, and end in the same way."""
    pid, cgroup, who, *rest = arguments
    split = rest.index("--")
    environment = dict(pair.split("=", 1) for pair in rest[:split])
    program = rest[split + 1 :]
    signal.pthread_sigmask(signal.SIG_BLOCK, {*_FORWARDED, signal.SIGCHLD})
    group = os.open(f"{cgroup}/cgroup.procs", os.O_WRONLY)
    _check(_libc.setns(os.pidfd_open(int(pid)), _NAMESPACES))
    child = os.fork()
    if child == 0:
        os.write(group, b"0")
        os.close(group)
        _become(who)
        _exec(program, environment)
    _end_like(_attend(child))


def _become(who: str) -> None:
    name, uid, gid, home = who.split(":")
    # pathlib would take a third of the time of this program.
    with open("/etc/group") as groups:  # noqa: PTH123
        lines = [line.rstrip("\n").split(":") for line in groups]
    others = [int(fields[2]) for fields in lines if name in fields[3].split(",")]
    os.setgroups(sorted({int(gid), *others}))
    os.setresgid(int(gid), int(gid), int(gid))
    os.setresuid(int(uid), int(uid), int(uid))
    # A change of user clears the parent-death signal, so it is set afterwards.
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))
    os.chdir(home)
    os.umask(0o022)


def _exec(program: list[str], environment: dict[str, str]) -> NoReturn:
    # Python ignores these two signals, and programs that it starts would inherit this.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    try:
        os.execvpe(program[0], program, environment)  # noqa: S606 (no shell)
    except OSError as error:
        sys.stderr.write(f"{program[0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _attend(child: int) -> int:
    while True:
        received = signal.sigwaitinfo({*_FORWARDED, signal.SIGCHLD})
        if received.si_signo == signal.SIGCHLD:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return status
        elif received.si_code <= 0:
            # A process sent this signal to this process only. Signals of a terminal reach the
            # program directly.
            os.kill(child, received.si_signo)


def _end_like(status: int) -> NoReturn:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number not in {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main(sys.argv[1:])
