"""Tests that the state of the standard streams does not affect the work of a command.

Streams are closed, full, without a reader, or have an unusual locale.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import click
import pytest

from k3s_rootless import schemas
from k3s_rootless.cli import shell
from k3s_rootless.cli.pass_through import FAILED
from tests.cli.conftest import USER
from tests.cli.test_bad_bus import environment
from tests.fakes.session import PROJECT, as_user, session
from tests.patience import PATIENCE

pytestmark = pytest.mark.thorough

MANIFEST = """\
apiVersion: v1
kind: Service
metadata: {name: web, annotations: {title: "h\\u00e9llo \\u4e16"}}
spec: {type: LoadBalancer, ports: [{name: web, port: 80}]}
"""
SAMPLES: Mapping[str, tuple[str, ...]] = {
    "up": ("--no-wait",),
    "restart": ("--no-wait",),
    "ports plan": ("{place}/web.yaml",),
    "bundle": ("--list",),
    "release get": ("--mirror", "http://localhost"),
    "config set": ("https-listen-port", "7443"),
    "config unset": ("https-listen-port",),
    "config get": ("https-listen-port",),
    "env set": ("K3S_ROOTLESS_MTU=1400",),
    "env unset": ("K3S_ROOTLESS_MTU",),
    "env get": ("K3S_ROOTLESS_MTU",),
}
"""Arguments with which a command does its work.

A required argument of any other command is `x`.
"""
FULL = b"error: cannot write the output: no space left on device"
STREAMS = {
    "as usual": "",
    "stdout closed": ">&-",
    "stderr and stdin closed": "2>&- <&-",
    "stdout full": ">/dev/full",
    "stderr full": "2>/dev/full",
    "no reader": "",
    "ISO 8859-1": "",
}


def leaves(
    group: click.Command, name: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield each command that does something, with the parts of its name."""
    context = click.Context(group)
    if isinstance(group, click.Group):
        for part in group.list_commands(context):
            command = group.get_command(context, part)
            assert command is not None
            yield from leaves(command, (*name, part))
        return
    yield name, group
    for one in getattr(group, "subcommands", ()):
        yield (*name, one.name), one


COMMANDS = dict(leaves(shell))


def arguments(name: tuple[str, ...], place: Path) -> list[str]:
    required = [
        one for one in COMMANDS[name].params if isinstance(one, click.Argument) and one.required
    ]
    sample = SAMPLES.get(" ".join(name), tuple("x" for _ in required))
    return [*name, *(argument.format(place=place) for argument in sample)]


@pytest.fixture(scope="module")
def place(dbus_daemon: None) -> Iterator[Path]:
    """Yield a directory of the user with a manifest, and a session that has a unit of K3s."""
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        for path in (directory / "session", directory / "config"):
            path.mkdir(mode=0o700)
            os.chown(path, USER, USER)
        (directory / "web.yaml").write_text(MANIFEST)
        with session(directory / "session", USER) as opened:
            (opened.units / "k3s-rootless.service").write_text(
                "[Service]\nExecStart=/usr/local/bin/k3s server --rootless\n"
            )
            yield directory


def popen(
    place: Path, given: list[str], streams: str = "as usual", **environ: str
) -> subprocess.Popen[bytes]:
    """Start a command with its streams in this state.

    Both streams are captured, except those to a pipe without a reader.
    """
    command = [*as_user(USER), sys.executable, "-m", "k3s_rootless", *given]
    redirected = ["sh", "-c", f'exec "$@" {STREAMS[streams]}', "sh", *command]
    variables = {**environment(place, place / "session/runtime"), **environ}
    if streams == "ISO 8859-1":
        variables["PYTHONIOENCODING"] = "iso-8859-1:strict"
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as unread:
        pipe = unread.fileno() if streams == "no reader" else subprocess.PIPE
        return subprocess.Popen(redirected, cwd=PROJECT, env=variables, stdout=pipe, stderr=pipe)


def ended(process: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
    with process:
        out, err = process.communicate(timeout=PATIENCE)
    assert b"Traceback" not in (err or b""), err.decode()
    return process.returncode, out or b"", err or b""


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_the_streams_do_not_change_the_exit_code(place: Path, name: tuple[str, ...]) -> None:
    with ExitStack() as opened:
        running = {streams: popen(place, arguments(name, place), streams) for streams in STREAMS}
        for process in running.values():
            opened.callback(process.kill)
        found = {streams: ended(process) for streams, process in running.items()}
    code, out, _ = found["as usual"]

    assert code in {*range(9), FAILED}
    for streams in (
        "stdout closed",
        "stderr and stdin closed",
        "stderr full",
        "no reader",
        "ISO 8859-1",
    ):
        assert code == found[streams][0], (streams, found[streams])
    assert (1 if out else code) == found["stdout full"][0]
    assert bool(out) == found["stdout full"][2].strip().endswith(FULL)


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_documents_are_utf_8_in_each_locale(place: Path, name: tuple[str, ...]) -> None:
    if not any(one.name == "as_json" for one in COMMANDS[name].params):
        pytest.skip("this command has no --json")
    code, out, _ = ended(popen(place, [*arguments(name, place), "--json"], "ISO 8859-1"))

    assert schemas.name("-".join(name)) == json.loads(out.decode("utf-8"))["schema"]
    assert code in {*range(9), FAILED}


def test_each_sample_belongs_to_a_command() -> None:
    assert set(SAMPLES) <= {" ".join(name) for name in COMMANDS}


def test_bytes_of_a_name_that_are_not_utf_8_are_replaced_in_a_document(place: Path) -> None:
    for locale in ("utf-8", "ascii"):
        file = os.fsdecode(b"caf\xe9.yaml")
        process = popen(
            place,
            ["ports", "plan", str(place / file), "--json"],
            PYTHONIOENCODING=f"{locale}:surrogateescape",
        )
        code, out, _ = ended(process)

        (error,) = json.loads(out.decode("utf-8"))["errors"]
        assert "caf\ufffd.yaml" in error["message"]
        assert code == error["exit_code"] != 0


def test_characters_outside_the_locale_are_written_as_ascii(place: Path) -> None:
    (place / "w.yaml").write_text(MANIFEST)
    code, out, _ = ended(popen(place, ["ports", "plan", str(place / "w.yaml")], "ISO 8859-1"))
    usual = ended(popen(place, ["ports", "plan", str(place / "w.yaml")]))

    assert (code, out.decode("iso-8859-1")) == (
        usual[0],
        usual[1].decode("utf-8").replace("\u2500", "-"),
    )
    assert b"---" in out


def test_a_replacing_program_gets_the_default_action_of_sigpipe() -> None:
    code = (
        "import signal, sys; from k3s_rootless import command; command.replace(sys.argv[1:],"
        " {'PATH': '/usr/bin:/bin'})"
    )
    grep = ["grep", "SigIgn", "/proc/self/status"]
    run = subprocess.run(
        [sys.executable, "-c", code, *grep],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert not int(run.stdout.split()[1], 16) & 1 << signal.SIGPIPE - 1


def test_a_descriptor_that_another_program_made_non_blocking_loses_nothing(place: Path) -> None:
    """The stream is a non-blocking pipe of 4 KiB with a slow reader."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    command = [*as_user(USER), sys.executable, "-m", "k3s_rootless", "check", "--json"]
    given = environment(place, place / "session/runtime")
    with subprocess.Popen(
        command, cwd=PROJECT, env=given, stdout=writing, stderr=subprocess.DEVNULL
    ) as process:
        os.close(writing)
        with os.fdopen(reading, "rb") as answer:
            text = answer.read()
        assert json.loads(text)["errors"][0]["exit_code"] == process.wait(PATIENCE)
    assert len(text) > 4096


def test_an_interrupt_during_exec_keeps_the_exit_code(tmp_path: Path) -> None:
    """Dataclasses are created with exec(), and an interrupt often happens during an import."""
    code = (
        "from k3s_rootless.cli import output\n"
        "try: exec('raise KeyboardInterrupt')\n"
        "except KeyboardInterrupt: pass\n"
        "output.end(130)\n"
        "raise SystemExit(130)"
    )
    (tmp_path / "interrupted.py").write_text(code)
    environ = {"PYTHONPATH": f"{PROJECT}:{tmp_path}"}

    done = subprocess.run([sys.executable, "-m", "interrupted"], env=environ, check=False)

    assert 130 == done.returncode


def test_an_interrupt_at_the_end_of_a_write_prints_no_line_twice() -> None:
    """Each line causes an interrupt, which often comes before Python has left the write."""
    code = (
        "import sys, time; from k3s_rootless.cli import output; output.secure()\n"
        "for number in range(200):\n"
        "    try:\n"
        "        print(number, file=sys.stderr)\n"
        "        time.sleep(60)\n"
        "    except KeyboardInterrupt: pass"
    )
    command = [sys.executable, "-c", code]

    with subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        printed = []
        for line in process.stderr:
            printed.append(line.strip())
            process.send_signal(signal.SIGINT)

    assert printed == list(map(str, range(200)))
