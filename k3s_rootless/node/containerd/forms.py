"""Which templates and drop-ins a release of K3s reads, and which of those that exist count.

Source: K3s pkg/agent/containerd/config.go and pkg/agent/templates; its commits bc4597239 (template
of version 3), b51167a99 (drop-ins) and 546dc247a (template "base").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from k3s_rootless.k3s.features import Since
from k3s_rootless.node.containerd.facts import Form, Found, Part, Role

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.k3s.version import Version
    from k3s_rootless.node.containerd.facts import File

RENDERED = "config.toml"
THIRD = Form("config-v3.toml.tmpl", "config-v3.toml.d", 3)
SECOND = Form("config.toml.tmpl", "config.toml.d", 2)
FORMS = (THIRD, SECOND)
VERSION_3 = Since.of("v1.31.6+k3s1", "v1.32.2+k3s1")
DROP_INS = Since.of("v1.33.10+k3s1", "v1.34.6+k3s1", "v1.35.3+k3s1", "v1.36.0+k3s1")
BASE = Since.of("v1.25.13+k3s1", "v1.26.8+k3s1", "v1.27.5+k3s1", "v1.28.1+k3s1")
"""Templates can include K3s's own one (the patch numbers are inferred from the month)."""
BASE_WORDS = '{{ template "base" . }}'
_BASE = re.compile(r"\{\{-?\s*template\s+\"base\"\s+\.\s*-?\}\}")
_IMPORTS = re.compile(r"^\s*imports\s*=", re.MULTILINE)


def has(change: Since, release: Version | None) -> bool:
    """Return whether a release has a change; an unknown release is taken for a new one."""
    return release is None or change.holds(release)


def form(found: Found, release: Version | None) -> Form:
    """Return the form that the next start of K3s uses."""
    if not has(VERSION_3, release):
        return SECOND
    if THIRD.template not in found.templates and SECOND.template in found.templates:
        return SECOND
    return THIRD


def includes_base(text: str) -> bool:
    """Return whether a template includes K3s's own one."""
    return _BASE.search(text) is not None


def without_base(text: str) -> str:
    """Return a template without the line that includes K3s's own one."""
    return _BASE.sub("", text)


def parts(found: Found, release: Version | None) -> tuple[Part, ...]:
    """Return all files, in the order in which they take effect, with those that do not count."""
    listed = []
    if found.rendered is not None:
        reason = "K3s writes it at each start"
        listed.append(Part(found.rendered, Role.RENDERED, read=True, reason=reason))
    chosen = form(found, release)
    listed += _templates(found, chosen, release)
    listed += _drop_ins(found, chosen, release)
    return tuple(listed)


def newer(found: Found, parts: Iterable[Part]) -> tuple[Path, ...]:
    """Return the files that were written after K3s has rendered the configuration at its start."""
    rendered = found.rendered
    if rendered is None:
        return ()
    return tuple(
        one.file.path
        for one in parts
        if one.read and one.role is not Role.RENDERED and one.file.modified > rendered.modified
    )


def _templates(found: Found, chosen: Form, release: Version | None) -> Iterator[Part]:
    for one in FORMS:
        file = found.templates.get(one.template)
        if file is None:
            continue
        if one == chosen:
            reason = f"K3s {_words(release)} renders it in place of its own template"
            yield Part(file, Role.TEMPLATE, read=True, reason=reason)
        elif one == THIRD:
            reason = f"K3s {_words(release)} reads only {SECOND.template}"
            yield Part(file, Role.TEMPLATE, read=False, reason=reason)
        else:
            reason = f"{THIRD.template} exists and comes before it"
            yield Part(file, Role.TEMPLATE, read=False, reason=reason)


def _drop_ins(found: Found, chosen: Form, release: Version | None) -> Iterator[Part]:
    for one in FORMS:
        for file in found.drop_ins.get(one.drop_ins, ()):
            why_not = _ignored(found, one, chosen, release)
            reason = why_not or "containerd imports it after the rendered configuration"
            yield Part(file, Role.DROP_IN, read=not why_not, reason=reason)


def _ignored(found: Found, one: Form, chosen: Form, release: Version | None) -> str:
    """Return why drop-ins of a form do not count; empty if they do."""
    template = found.templates.get(chosen.template)
    own = _imports_itself(template, one)
    if own is not None and template is not None:
        return "" if own else f"{template.path.name} does not import it"
    if not has(DROP_INS, release):
        firsts = ", ".join(map(str, DROP_INS.firsts))
        return f"K3s {_words(release)} has no drop-ins; the first releases with them are {firsts}"
    if one != chosen:
        return f"the configuration has version {chosen.version}, which imports {chosen.drop_ins}"
    return ""


def _imports_itself(template: File | None, one: Form) -> bool | None:
    """Return whether a template without K3s's own one imports a directory; None with K3s's own."""
    if template is None or template.text is None or includes_base(template.text):
        return None
    return _IMPORTS.search(template.text) is not None and one.drop_ins in template.text


def _words(release: Version | None) -> str:
    if release is None:
        return "of an unknown release"
    return str(release)
