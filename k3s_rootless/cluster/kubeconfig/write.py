"""Replace a kubeconfig of the user, completely or not at all."""

from __future__ import annotations

import re

from k3s_rootless import atomic
from k3s_rootless.cluster.kubeconfig.files import UserFile
from k3s_rootless.errors import RootlessError

_NEW_MODE = 0o600


def write(file: UserFile, content: bytes) -> None:
    """Write the content to a file that was read before; its mode is kept, a link stays a link.

    The caller holds the lock of the file. Raises RootlessError, and changes nothing then.
    """
    directory = file.resolved.parent
    mode = file.mode
    if mode is None:
        mode = _NEW_MODE
    try:
        atomic.make_directory(directory)
        atomic.sweep(directory, re.escape(file.resolved.name[:200]))
        atomic.write(file.resolved, content, mode)
    except OSError as error:
        raise RootlessError(f"cannot write `{file.path}`: {atomic.reason(error)}") from error
