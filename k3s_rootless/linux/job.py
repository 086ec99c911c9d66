"""Run a program as one job: a child process in the foreground, with this process as its parent.

If stdin, stdout and stderr are the controlling terminal, the child gets a process group of its own
and the terminal, as a shell gives it to a job. The terminal then sends its signals and the changes
of its size to the child. Otherwise the child stays in the process group of this process, so that
the other programs of a pipeline keep the terminal.

In both cases this process stops when the child stops, continues it, and passes signals on. It
copies no data: the child inherits the streams.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from k3s_rootless.errors import CommandFailed

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit statuses of a program that cannot be run, as of env(1) and shells."""
_FROM_KERNEL = 0x80
"""SI_KERNEL of sigaction(2): the terminal sent the signal, to the whole process group."""
_PASSED_ON = frozenset(
    {
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGTERM,
        signal.SIGTSTP,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGALRM,
    }
)
_WAITED_FOR = _PASSED_ON | {signal.SIGCHLD, signal.SIGCONT}
_STREAMS = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: its exit status, or the signal that ended it (0 for none)."""

    status: int
    signal: int = 0


def run(execute: Callable[[], None]) -> Ended:
    """Fork, call `execute` in the child, and wait until the child ends.

    `execute` replaces the child by a program, or raises CommandFailed. This process must have a
    single thread. Raises OSError if there can be no further process.
    """
    terminal = _terminal()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*_WAITED_FOR, signal.SIGTTOU})
    # If it is ignored, the kernel keeps no exit status.
    ignored = signal.signal(signal.SIGCHLD, signal.SIG_DFL) is signal.SIG_IGN
    try:
        child = os.fork()
        if child == 0:
            _become(execute, mask, terminal, ignored=ignored)
        job = _Job(child, terminal)
        ended = job.wait()
        job.take_terminal()
        return ended
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def end_by(number: int) -> None:
    """End this process by a signal, as the program of its job ended.

    A caller, such as a shell, thus sees the same as without this process. No core is dumped.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)


class _Job:
    """The child and, if it has a process group of its own, the terminal that it was given."""

    def __init__(self, child: int, terminal: int | None) -> None:
        self._child = child
        self._own = terminal is not None
        self._terminal = terminal if terminal is not None else _controlling()
        self._had_terminal = self._foreground() == os.getpgrp()
        if self._own:
            with suppress(OSError):  # the child has done so itself, and executed its program
                os.setpgid(child, child)
            self._give_terminal()

    def wait(self) -> Ended:
        """Wait until the child ends, and pass on what happens meanwhile."""
        while True:
            received = signal.sigwaitinfo(_WAITED_FOR)
            number = received.si_signo
            if number == signal.SIGCHLD:
                ended = self._reap()
                if ended is not None:
                    return ended
            elif number == signal.SIGCONT:
                self._resume()
            elif self._own or received.si_code != _FROM_KERNEL:
                self._send(number)
            elif number == signal.SIGTSTP:
                # The terminal stops the whole process group: this process as well.
                self._stop(signal.SIGTSTP)

    def take_terminal(self) -> None:
        """Make the process group of this process the foreground again, if the job was it."""
        if self._terminal is None:
            return
        group = self._foreground()
        if group == os.getpgrp() or not (self._own or self._had_terminal):
            return
        if group == self._child or not _exists(group):
            with suppress(OSError):  # the terminal is gone
                os.tcsetpgrp(self._terminal, os.getpgrp())

    def _reap(self) -> Ended | None:
        if signal.SIGCONT in signal.sigpending():
            # The whole process group is being continued. The child may still be stopped, and must
            # not stop this process again.
            self._resume()
        process, status = os.waitpid(self._child, os.WNOHANG | os.WUNTRACED)
        if process == 0:
            return None
        if os.WIFSTOPPED(status):
            self._stop(os.WSTOPSIG(status))
            return None
        if os.WIFEXITED(status):
            return Ended(os.WEXITSTATUS(status))
        number = os.WTERMSIG(status)
        interrupted = self._own and self._foreground() == self._child
        if interrupted and number in {signal.SIGINT, signal.SIGQUIT}:
            # The terminal would have sent it to the whole process group, such as a script.
            with suppress(OSError):
                os.killpg(os.getpgrp(), number)
                signal.sigtimedwait({number}, 0)
        return Ended(128 + number, number)

    def _stop(self, number: int) -> None:
        """Stop this process until it is continued, and then continue the job.

        The kernel ignores these signals in a process group that no shell could continue. The job
        then goes on, as it would without this process.
        """
        if number not in {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}:
            number = signal.SIGTSTP
        self.take_terminal()
        if self._own:
            os.killpg(os.getpgrp(), number)
        else:
            os.kill(os.getpid(), number)
        before = signal.signal(number, signal.SIG_DFL)
        mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(number, before)
        self._resume()

    def _resume(self) -> None:
        if self._own and self._foreground() == os.getpgrp():
            self._give_terminal()
        self._send(signal.SIGCONT)

    def _send(self, number: int) -> None:
        with suppress(ProcessLookupError):
            if self._own and number == signal.SIGCONT:
                os.killpg(self._child, number)  # the terminal has stopped the whole group
            else:
                os.kill(self._child, number)

    def _give_terminal(self) -> None:
        if self._terminal is not None:
            with suppress(OSError):  # the terminal is gone, or the child
                os.tcsetpgrp(self._terminal, self._child)

    def _foreground(self) -> int:
        """Return the process group in the foreground of the terminal; -1 if there is none."""
        if self._terminal is None:
            return -1
        try:
            return os.tcgetpgrp(self._terminal)
        except OSError:
            return -1


def _become(
    execute: Callable[[], None],
    mask: set[int | signal.Signals],
    terminal: int | None,
    *,
    ignored: bool,
) -> None:
    """Turn the new child into the program. Never returns."""
    try:
        if terminal is not None:
            os.setpgid(0, 0)
            with suppress(OSError):  # the terminal is gone
                # SIGTTOU is blocked, so that a process in the background may do this.
                os.tcsetpgrp(terminal, os.getpgrp())
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)  # Python ignores them, programs should not
        if ignored:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        execute()
    except CommandFailed as error:
        os.write(2, f"error: {error.message}\n".encode("utf-8", "replace"))
        if isinstance(error.__cause__, FileNotFoundError):
            os._exit(NOT_FOUND)
    finally:
        # The child must not return to the caller, whatever happens.
        os._exit(NOT_EXECUTABLE)


def _terminal() -> int | None:
    """Return the terminal for a job with a process group of its own, or None.

    All three streams must be the terminal, and this process must be in its foreground.
    """
    if not all(map(os.isatty, _STREAMS)):
        return None
    terminal = _controlling()
    if terminal is None or os.tcgetpgrp(terminal) != os.getpgrp():
        return None
    return terminal


def _controlling() -> int | None:
    """Return a stream that is the controlling terminal."""
    for stream in _STREAMS:
        with suppress(OSError):
            os.tcgetpgrp(stream)
            return stream
    return None


def _exists(group: int) -> bool:
    if group <= 0:
        return False
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
