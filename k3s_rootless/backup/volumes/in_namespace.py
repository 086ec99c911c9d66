"""Copy, unpack and remove volumes as root of a user namespace with all ids of the user."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from k3s_rootless import atomic
from k3s_rootless.backup.volumes import packing, unpacking
from k3s_rootless.backup.volumes.members import Damaged, Readable
from k3s_rootless.backup.volumes.records import Packed
from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import id_mapping, tree_removal
from k3s_rootless.linux.id_mapping import IdMapping

_PIECE = 2**18
_START = "start K3s, because its own user namespace has these privileges: k3s-rootless up"
_ENDED = "the process in the user namespace exited before it was finished"
_OPEN = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class InNamespace:
    """The way into a user namespace: a new one, or, if that has no privileges, that of K3s.

    `mapping` is a text if there is none: the reason. `running` returns /proc/PID of the process
    that owns the namespace of a running K3s, None if K3s does not run.
    """

    def __init__(self, mapping: IdMapping | str, running: Callable[[], Path | None]) -> None:
        self._mapping = mapping
        self._running = running
        self._why_not_new: str | None = None
        self.unsupported = 0
        """The number of attributes that the file system could not store."""

    @property
    def ids(self) -> int:
        """The number of ids in the namespace; 1 if there is no namespace."""
        if isinstance(self._mapping, str):
            return 1
        return self._mapping.size

    @property
    def needs_k3s(self) -> bool:
        """True if only the namespace of a running K3s has the privileges."""
        return not isinstance(self._mapping, str) and bool(self._problem_of_new())

    def require(self, *, without_k3s: bool, hint: str = _START) -> None:
        """Raise RootlessError if no namespace can be entered, and say why.

        `without_k3s` is True if K3s is stopped meanwhile. `hint` is for hosts on which only the
        namespace of a running K3s has privileges.
        """
        why = self._problem_of_new()
        if why and (without_k3s or self._running() is None):
            raise _unusable(why, hint)
        if why:
            with self._child(lambda: b"y", ()) as child:
                if child.receive_all() != b"y":
                    raise _unusable(_ENDED)

    def pack(self, root: Path, target: Path) -> Packed:
        """Write a copy of the volumes to a new file. Raises RootlessError."""
        try:
            with _opened(root) as source, target.open("xb") as file:
                target.chmod(0o600)
                work = partial(_packed, source, file.fileno(), self.ids)
                with self._child(work, (source, file.fileno())) as child:
                    content = _result(child.receive_all())
        except OSError as error:
            raise RootlessError(
                f"cannot copy the volumes in `{root}`: {atomic.reason(error)}",
                hint=atomic.hint(error, target),
            ) from error
        left_out = [(path, why) for path, why in content.pop("left_out")]
        return Packed(**content, left_out=left_out)

    def unpack(self, stream: Readable, root: Path) -> None:
        """Write the volumes of a copy to a new directory, and sync them.

        Raises Damaged, RootlessError, and what the stream raises.
        """
        _make(root)
        with _opened(root) as target:
            reading, writing = os.pipe()
            with open(reading, "rb") as source, open(writing, "wb") as pipe:  # noqa: PTH123
                work = partial(_unpacked, reading, target, self.ids)
                with self._child(work, (reading, target)) as child:
                    source.close()
                    _feed(stream, pipe)
                    content = _result(child.receive_all())
            _sync(root)
        self.unsupported += content["unsupported"]

    def remove(self, tree: Path) -> None:
        """Remove a tree, which may not exist. Raises RootlessError if something is left."""
        if not os.path.lexists(tree):
            return
        if not tree.is_dir() or tree.is_symlink():
            tree.unlink()
            return
        result = self.clear(tree_removal.Task(tree))
        if result.survivors:
            path, why = result.survivors[0]
            raise RootlessError(f"cannot remove `{path}`: {why}")

    def clear(self, task: tree_removal.Task) -> tree_removal.Result:
        """Perform a removal. Raises RootlessError if it cannot begin."""
        with self._child(partial(_removed, task), ()) as child:
            content = _result(child.receive_all())
        survivors = [(path, why) for path, why in content["survivors"]]
        return tree_removal.Result(content["removed"], survivors, content["more"])

    @contextmanager
    def _child(self, work: Callable[[], bytes], keep: Sequence[int]) -> Iterator[Any]:
        why = self._problem_of_new()
        if isinstance(self._mapping, str):
            raise _unusable(why)
        if not why:
            with id_mapping.working(self._mapping, work, keep, None) as child:
                yield child
            return
        process = self._running()
        if process is None:
            raise _unusable(why)
        with (
            _namespace(process, self._mapping) as joined,
            id_mapping.working(self._mapping, work, keep, joined) as child,
        ):
            yield child

    def _problem_of_new(self) -> str:
        """Return why a new namespace cannot be used; empty if it can. It is tried once."""
        if self._why_not_new is None:
            self._why_not_new = _try(self._mapping)
        return self._why_not_new


def _try(mapping: IdMapping | str) -> str:
    if isinstance(mapping, str):
        return mapping
    if mapping.size < 2:
        return "you have no subordinate ids"

    def work() -> bytes:
        return b"." + id_mapping.lack_of_privileges().encode()

    try:
        with id_mapping.working(mapping, work, (), None) as child:
            answer = child.receive_all().decode()
    except RootlessError as error:
        return error.message
    return answer[1:] if answer else _ENDED


def _unusable(why: str, hint: str = _START) -> RootlessError:
    if not id_mapping.is_restricted():
        hint = "find what is missing with: k3s-rootless check"
    return RootlessError(f"cannot read and write volumes: {why}", hint=hint)


@contextmanager
def _namespace(process: Path, mapping: IdMapping) -> Iterator[int]:
    try:
        descriptor = os.open(process / "ns/user", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if not mapping.matches(process):
                raise RootlessError(
                    "cannot read and write volumes: the running K3s has other subordinate ids than"
                    " a new start would have",
                    hint="restart K3s, then repeat the command: k3s-rootless restart",
                )
            yield descriptor
        finally:
            os.close(descriptor)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        raise RootlessError("cannot enter the user namespace of K3s: it has just ended") from None


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    # O_PATH: only root of the namespace may be allowed to read it.
    descriptor = os.open(directory, _OPEN)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _feed(stream: Readable, pipe: Any) -> None:  # noqa: ANN401 (a file)
    # The process has ended if the pipe is broken; its result says why.
    with suppress(BrokenPipeError), pipe:
        while piece := stream.read(_PIECE):
            pipe.write(piece)


def _make(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700)
    except OSError as error:
        raise RootlessError(f"cannot create `{directory}`: {atomic.reason(error)}") from error


def _sync(directory: Path) -> None:
    # One call for all files: the file system writes them faster than one after the other.
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(directory.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if libc.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            why = os.strerror(number).lower()
            raise RootlessError(f"cannot write `{directory}` to the disk: {why}")
    finally:
        os.close(descriptor)


def _packed(source: int, target: int, ids: int) -> bytes:
    def work() -> dict[str, Any]:
        with open(target, "wb", closefd=False) as out:
            return asdict(packing.pack(source, out, ids))

    return _reported(work)


def _unpacked(reading: int, target: int, ids: int) -> bytes:
    def work() -> dict[str, Any]:
        with open(reading, "rb", closefd=False) as stream:
            return {"unsupported": unpacking.unpack(stream, target, ids)}

    return _reported(work)


def _removed(task: tree_removal.Task) -> bytes:
    def work() -> dict[str, Any]:
        result = tree_removal.Result()
        tree_removal.remove(task, result)
        return {"removed": result.removed, "survivors": result.survivors, "more": result.more}

    return _reported(work)


def _reported(work: Callable[[], dict[str, Any]]) -> bytes:
    try:
        content = work()
    except RootlessError as error:
        content = {"error": error.message, "hint": error.hint}
    except Damaged as error:
        content = {"damaged": str(error)}
    except EOFError:
        content = {"damaged": "the volumes are truncated"}
    except OSError as error:
        # Without a path: those of the volumes are relative to a directory.
        error.filename = None
        content = {
            "error": f"cannot copy the volumes: {atomic.reason(error)}",
            "hint": atomic.hint(error),
        }
    return json.dumps(content).encode("ascii")


def _result(text: bytes) -> dict[str, Any]:
    if not text:
        raise RootlessError(f"cannot use the volumes: {_ENDED}")
    content: dict[str, Any] = json.loads(text)
    if "error" in content:
        raise RootlessError(content["error"], hint=content["hint"])
    if "damaged" in content:
        raise Damaged(content["damaged"])
    return content
