"""Reader of the files in K3s's directory for containerd, as untrusted input."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from k3s_rootless import trust
from k3s_rootless.node.containerd import forms
from k3s_rootless.node.containerd.facts import File, Found

LARGEST = 1024 * 1024
"""Bytes of one file."""
_MOST = 200


def read(directory: Path) -> Found:
    """Return all files; a directory that does not exist has none. Never raises for a file."""
    templates = {}
    drop_ins = {}
    for one in forms.FORMS:
        template = file(directory / one.template)
        if template is not None:
            templates[one.template] = template
        # containerd imports them in the order of filepath.Glob, which sorts by bytes.
        names = sorted(_names(directory / one.drop_ins), key=os.fsencode)[:_MOST]
        listed = [file(directory / one.drop_ins / name) for name in names]
        drop_ins[one.drop_ins] = tuple(found for found in listed if found is not None)
    return Found(directory, file(directory / forms.RENDERED), templates, drop_ins)


def file(path: Path) -> File | None:
    """Return a file; None if it does not exist."""
    try:
        # Without O_NONBLOCK, opening a named pipe would block for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        return None
    except OSError as error:
        return File(path, None, problem=(error.strerror or str(error)).lower())
    try:
        return _file(path, descriptor)
    except UnicodeDecodeError:
        return File(path, None, problem="it is not UTF-8 text")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return File(path, None, problem=reason.lower())
    finally:
        os.close(descriptor)


def _file(path: Path, descriptor: int) -> File:
    """Return an open file. Raises OSError, UnicodeDecodeError, ValueError with the reason."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")
    content = os.read(descriptor, LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST} bytes")
    risk = trust.risk(path)
    if risk:
        raise ValueError(f"it is not trusted because {risk}")
    return File(path, content.decode("utf-8"), status.st_mtime)


def _names(directory: Path) -> list[str]:
    try:
        return [name for name in os.listdir(directory) if name.endswith(".toml")]  # noqa: PTH208
    except OSError:
        return []
