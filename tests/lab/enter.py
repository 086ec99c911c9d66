"""Runs one program inside a booted lab, and is its stand-in outside: signals go in, the way it ends
comes out.

    enter.py PID CGROUP USER:UID:GID:HOME NAME=VALUE... -- PROGRAM ARGUMENT...

nsenter(1) would do but for the signals: it passes none on, and when it is killed the program lives.
Started as a program of its own with `python -I -S`, so that whoever starts it, from whichever
thread, gets an ordinary child process.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

# mnt cgroup uts ipc pid net
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
    """Enter, start the program, stay until it ends, and end in the same way."""
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
    lines = (line.split(":") for line in Path("/etc/group").read_text().splitlines())
    others = [int(fields[2]) for fields in lines if name in fields[3].split(",")]
    os.setgroups(sorted({int(gid), *others}))
    os.setresgid(int(gid), int(gid), int(gid))
    os.setresuid(int(uid), int(uid), int(uid))
    # A change of user clears it, so it comes after.
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))
    os.chdir(home)
    os.umask(0o022)


def _exec(program: list[str], environment: dict[str, str]) -> NoReturn:
    # Python ignores these two, and a program started by it would go on doing so.
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
            # Sent by a process, to this one. What a terminal sends, the program has got as well.
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
