"""Small trees of files for the probes to read."""

from __future__ import annotations

from pathlib import Path


def write(path: Path, content: str | bytes, mode: int = 0o644) -> Path:
    """Write a file, and the directories that lead to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def program(path: Path, mode: int = 0o755) -> Path:
    """Write a program that does nothing."""
    return write(path, "#!/bin/sh\n", mode)
