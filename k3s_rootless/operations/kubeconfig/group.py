"""A group of kubeconfigs that kubectl reads as one: locked, read, judged and changed together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import user_file
from k3s_rootless.cluster.kubeconfig import copies, edited_text, entries, files, lock, precedence
from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.operations.consent import Ask

if TYPE_CHECKING:
    from k3s_rootless.cluster.kubeconfig.edits import Edit
    from k3s_rootless.cluster.kubeconfig.entries import Document
    from k3s_rootless.operations.context import Context
    from k3s_rootless.user_file import UserFile


KEY = "the key of an administrator of the cluster"
"""The secret in a file with our entries."""


def no_user(_: str) -> bool | None:
    """Answer no question, for operations that run as a part of another command."""
    return None


@dataclass(frozen=True, slots=True)
class Group:
    """The files that exist or are going to be created, with their content."""

    files: tuple[UserFile, ...]
    documents: tuple[Document, ...]

    @classmethod
    def read(cls, paths: Sequence[Path], uid: int) -> Group:
        """Read the files. Raises RootlessError, and never quotes their content."""
        found = tuple(files.read(path, uid) for path in paths)
        return cls(found, tuple(map(_document, found)))

    def texts(self, edits: Sequence[Sequence[Edit]]) -> dict[int, bytes]:
        """Return the new texts of the files that change, by position. Raises RootlessError."""
        return {at: _edited(self.files[at], one) for at, one in enumerate(edits) if one}

    def texts_with_key(
        self, edits: Sequence[Sequence[Edit]], name: str, target: int
    ) -> tuple[dict[int, bytes], UserFile]:
        """Return the new texts of the files that change, and the file with the key afterwards.

        `name` is that of our entries, and `target` the document that gets new ones. A file with the
        key that other users can read is written even if its text stays, for its mode. Raises
        RootlessError.
        """
        texts = self.texts(edits)
        at = entries.where(self.documents, "users", name)
        if at is None:
            at = target
        holder = self.files[at]
        if holder.shared:
            texts.setdefault(at, holder.content)
        return texts, holder

    def write(self, texts: dict[int, bytes], private: UserFile | None = None) -> None:
        """Write the files that change; only the user can read `private`. Raises RootlessError."""
        for at, text in texts.items():
            file = self.files[at]
            user_file.write(file, text, mode=file.private_mode if file is private else None)


def chosen(context: Context, into: Path | None) -> precedence.Chosen:
    """Return the kubeconfigs of the user as kubectl chooses them. Raises UsageError."""
    found = precedence.choose(context.environ, context.paths.home, into)
    if found is None:
        raise UsageError(
            "cannot choose a kubeconfig: KUBECONFIG names no file",
            hint="name one, for example: --into ~/.kube/config",
        )
    return found


@contextmanager
def locked(context: Context, paths: Sequence[Path], ask: Ask) -> Iterator[None]:
    """Hold the locks of the files and of our record.

    A lock that another program left behind is removed if the user agrees. Raises RootlessError.
    """
    record = context.paths.own / copies.RECORD
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(lock.locked((record, *paths)))
                break
            except lock.LockHeld as error:
                _require_consent(error, ask)
                lock.release(error.held)
        yield


def _require_consent(error: lock.LockHeld, ask: Ask) -> None:
    question = f"{error.message}. Is no other program changing it, and shall the lock be removed?"
    if not ask(question):
        raise error


def _document(file: UserFile) -> Document:
    try:
        return edited_text.parse(file.content)
    except edited_text.NotKubeconfig as error:
        raise _unusable(file, error) from None


def _edited(file: UserFile, edits: Sequence[Edit]) -> bytes:
    try:
        return edited_text.edited(file.content, edits)
    except edited_text.NotKubeconfig as error:
        raise _unusable(file, error) from None


def _unusable(file: UserFile, error: edited_text.NotKubeconfig) -> RootlessError:
    return RootlessError(
        f"cannot change `{file.path}`: {error}",
        hint=f"check it with: kubectl config view --kubeconfig {file.path}",
    )
