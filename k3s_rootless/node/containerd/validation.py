"""Validate files with the containerd that K3s brings: `containerd config dump`.

It loads a file with its imports as the server does, starts nothing, and needs no namespace (seen
with K3s v1.36.3). Errors end it with status 1; unknown keys are warnings of its log.
"""

from __future__ import annotations

import re
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from k3s_rootless import command
from k3s_rootless.errors import CommandFailed
from k3s_rootless.node.containerd.facts import Message
from k3s_rootless.printable import printable

SECONDS = 60.0
_FIELD = re.compile(r'(?P<name>[a-z]+)=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>\S+))')
_ENDS = re.compile(r"^containerd: (?P<text>.*)$")
_OLD_PLACE = re.compile(
    r"^failed to load TOML: (?P<path>/[^\n]*?): \((?P<row>\d+), \d+\): (?P<text>.*)$"
)
"""An error of containerd 1.x (go-toml 1)."""
_UNKNOWN_KEY = re.compile(r"^Ignoring unknown key in TOML")
_FAILURE = "Failure unmarshaling TOML"
_MOST = 50
_LONGEST = 300


def of_file(program: Path, path: Path, environ: Mapping[str, str]) -> tuple[Message, ...]:
    """Return what containerd reports about a configuration with its imports.

    Raises CommandFailed if containerd cannot be run.
    """
    argv = (str(program), "--config", str(path), "config", "dump")
    done = command.run(argv, timeout=SECONDS, environ=environ)
    found = list(messages(done.stderr))
    if done.status < 0:
        raise CommandFailed(f"containerd was terminated by signal {-done.status}")
    if done.status and not any(one.fatal for one in found):
        raise CommandFailed(f"containerd failed with status {done.status}: {_last(done.stderr)}")
    return tuple(found[:_MOST])


def of_drop_in(
    program: Path, path: Path, version: int, environ: Mapping[str, str]
) -> tuple[Message, ...]:
    """Return what containerd reports about a drop-in alone. Raises CommandFailed, OSError."""
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-containerd-") as name:
        root = Path(name) / "config.toml"
        root.write_text(f'version = {version}\nimports = ["{_escaped(str(path))}"]\n', "utf-8")
        found = of_file(program, root, environ)
    # Without a place, the message is about the only file with settings.
    return tuple(Message(one.text, one.path or path, one.row, one.fatal) for one in found)


def of_text(
    program: Path | None, text: str, version: int, environ: Mapping[str, str]
) -> tuple[Message, ...]:
    """Return what is wrong in a text that is not in a file; without containerd, in its TOML."""
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-containerd-") as name:
        path = Path(name) / "lines.toml"
        path.write_text(text, "utf-8")
        path.chmod(0o600)
        if program is None:
            return tuple(of_toml(text))
        return of_drop_in(program, path, version, environ)


def of_toml(text: str) -> Iterator[Message]:
    """Yield the error in the syntax of a text."""
    try:
        tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = re.search(r"at line (\d+)", str(error))
        row = int(found[1]) if found else None
        yield Message(f"it is not valid TOML: {printable(str(error))}", None, row, fatal=True)


def messages(log: str) -> Iterator[Message]:
    """Yield the errors and warnings about files in a log of containerd."""
    placed: Message | None = None
    for line in log.splitlines():
        ends = _ENDS.match(line)
        if ends is not None:
            if placed is None:
                yield _ended(ends["text"])
            continue
        fields = _fields(line)
        message = fields.get("msg", "")
        path = Path(fields["file"]) if "file" in fields else None
        row = int(fields["row"]) if fields.get("row", "").isdecimal() else None
        if message == _FAILURE:
            placed = Message(
                printable(fields.get("error", message))[:_LONGEST], path, row, fatal=True
            )
            yield placed
        elif _UNKNOWN_KEY.match(message):
            yield Message(_unknown(fields), path, row)


def _ended(text: str) -> Message:
    found = _OLD_PLACE.match(text)
    if found is None:
        return Message(printable(text)[:_LONGEST], fatal=True)
    row = int(found["row"])
    return Message(printable(found["text"])[:_LONGEST], Path(found["path"]), row, fatal=True)


def _unknown(fields: Mapping[str, str]) -> str:
    key = printable(fields.get("key", "?"))
    plugin = fields.get("plugin", "")
    if plugin:
        return f"containerd ignores the unknown key `{key}` of the plugin {printable(plugin)}"
    return f"containerd ignores the unknown key `{key}`"


def _fields(line: str) -> dict[str, str]:
    return {one["name"]: _value(one) for one in _FIELD.finditer(line)}


def _value(found: re.Match[str]) -> str:
    if found["quoted"] is None:
        return found["word"]
    return re.sub(r"\\(.)", r"\1", found["quoted"])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _last(text: str) -> str:
    lines: Sequence[str] = text.strip().splitlines() or ("no output",)
    return printable(lines[-1])[:_LONGEST]
