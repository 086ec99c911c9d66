"""Reader of the kubeconfigs of a user, before they are changed."""

from __future__ import annotations

from pathlib import Path

from k3s_rootless import user_file
from k3s_rootless.user_file import UserFile

LARGEST = 4 * 1024 * 1024
"""Bytes; a kubeconfig with a thousand clusters has about 6 KiB for each."""
_ELSEWHERE = "name another file, for example: --into ~/.kube/config"


def read(path: Path, uid: int) -> UserFile:
    """Read a file that is going to be changed; a missing file has no content.

    Raises RootlessError; PreflightFailed if another user owns or could change the file.
    """
    return user_file.read(path, uid, largest=LARGEST, hint=_ELSEWHERE)
