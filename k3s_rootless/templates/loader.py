"""Read the templates of the package without loading jinja2."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent.parent


def read(folder: str, name: str) -> str:
    """Return the text of a template in a folder of the package.

    The file is read by its path: importlib.resources loads zipfile for packages in archives, which
    takes 12 ms, and this package is not in an archive.
    """
    return (_PACKAGE / folder / name).read_text("utf-8")
