"""The version of a K3s binary: parsed from `k3s --version`, and ordered as K3s orders it.

SemVer ignores the part after `+` in the order, but for K3s that part counts (v1.34.3+k3s1 is older
than v1.34.3+k3s3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# `k3s version v1.33.4+k3s1 (148243c4)`: the first word is the name of the program's file (K3s
# main.go and scripts/version.sh, tags v0.9.1 to v1.36).
_LINE = re.compile(
    r"^\S+ version (?P<version>v\d\S*|dev) \((?P<commit>[0-9a-f]{6,40}|HEAD)\)\s*$", re.MULTILINE
)
_VERSION = re.compile(
    r"v(?P<major>\d{1,9})\.(?P<minor>\d{1,9})\.(?P<patch>\d{1,9})"
    r"(?:-(?P<pre>alpha|beta|rc)\.?(?P<pre_number>\d{1,9}))?"
    r"(?:(?:[+]|-(?=k3s))(?P<build>[0-9A-Za-z.-]+))?",
    re.ASCII,
)
_K3S_BUILD = re.compile(r"k3s[.]?(?P<number>\d{1,9})", re.ASCII)
_COMMIT_BUILD = re.compile(r"k3s-[0-9a-f]{7,40}(-dirty)?")
_STAGES = {"alpha": 0, "beta": 1, "rc": 2, None: 3}


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """One K3s version.

    `text` is the spelling of the binary; two spellings of the same version are equal.
    """

    text: str = field(compare=False)
    major: int
    minor: int
    patch: int
    stage: int
    stage_number: int
    build: int
    commit_build: bool = field(compare=False)

    @property
    def line(self) -> tuple[int, int]:
        """The release line, such as (1, 33)."""
        return (self.major, self.minor)

    def __str__(self) -> str:
        return self.text


def parse(text: str) -> Version | None:
    """Parse a version such as `v1.33.4+k3s1`; None if the text is not a version."""
    found = _VERSION.fullmatch(text)
    if found is None:
        return None
    build = found["build"] or ""
    numbered = _K3S_BUILD.fullmatch(build)
    return Version(
        text=text,
        major=int(found["major"]),
        minor=int(found["minor"]),
        patch=int(found["patch"]),
        stage=_STAGES[found["pre"]],
        stage_number=int(found["pre_number"] or 0),
        build=int(numbered["number"]) if numbered else 0,
        commit_build=_COMMIT_BUILD.fullmatch(build) is not None,
    )


def from_output(stdout: str) -> Version | None:
    """Parse the output of `k3s --version`; None if no line contains a K3s version."""
    found = _LINE.search(stdout)
    return parse(found["version"]) if found else None
