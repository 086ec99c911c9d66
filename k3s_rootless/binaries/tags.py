"""The names of releases and channels: which are valid, and which are similar to a wrong one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from k3s_rootless import web_address
from k3s_rootless.k3s import version

_TAG = re.compile(r"v\d{1,4}\.\d{1,4}\.\d{1,4}(-(alpha|beta|rc)\.?\d{1,4})?\+k3s\d{1,4}", re.ASCII)
_CHANNEL = re.compile(r"[a-z][a-z0-9]*([.-][a-z0-9]+)*", re.ASCII)
_NUMBER = re.compile(r"\d+\.\d+", re.ASCII)
_LONGEST = 60
_MOST_SIMILAR = 3


@dataclass(frozen=True, slots=True)
class Exact:
    """One release."""

    tag: str


@dataclass(frozen=True, slots=True)
class Named:
    """The release that a channel offers."""

    channel: str


def parse(text: str) -> Exact | Named | None:
    """Parse what a user requested: a release or a channel; None if it can be neither.

    The `v` in front is optional.
    """
    if len(text) > _LONGEST:
        return None
    name = text.strip()
    if _NUMBER.match(name):
        name = f"v{name}"
    if is_tag(name):
        return Exact(name)
    if version.parse(name) is not None:
        return None  # a version without the number of K3s's own build
    return Named(name) if _CHANNEL.fullmatch(name) else None


def is_tag(text: str) -> bool:
    """Return whether a text is the complete name of a release, such as `v1.36.3+k3s1`."""
    return _TAG.fullmatch(text) is not None


def of_location(location: str) -> str | None:
    """Return the release that the redirect of a channel leads to; None if it names none.

    The channel server writes `+` literally. A proxy can redirect to its login page.
    """
    try:
        path = web_address.split(location).path
    except ValueError:
        return None
    last = unquote(path).rpartition("/")[2]
    return last if is_tag(last) else None


def in_url(tag: str) -> str:
    """Return a release as a part of a URL: `+` is `%2B` there."""
    return quote(tag, safe="")


def similar(text: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return the known names that are similar to a wrong one, the best match first.

    For a version without its build, these are first its builds.
    """
    names = list(dict.fromkeys(known))
    wanted = f"v{text}" if _NUMBER.match(text) else text
    builds = [name for name in names if name.startswith(f"{wanted}+")]
    close = difflib.get_close_matches(wanted, names, n=_MOST_SIMILAR, cutoff=0.6)
    return tuple(dict.fromkeys([*builds, *close]))[:_MOST_SIMILAR]


def order(tag: str) -> tuple[bool, version.Version | str]:
    """Return the key that sorts releases, the oldest one first; other names come before them."""
    found = version.parse(tag)
    return (False, tag) if found is None else (True, found)
