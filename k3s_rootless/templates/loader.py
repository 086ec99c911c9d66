"""Reads the templates that come with the package, without loading jinja2."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent.parent


def read(folder: str, name: str) -> str:
    """Return the text of a template in a folder of the package.

    By its path: importlib.resources loads zipfile for packages within archives, which takes 12 ms,
    and this one is in none.
    """
    return (_PACKAGE / folder / name).read_text("utf-8")
