"""Tests that hostile names, links and files of a user do not affect the administrator's script.

The scripts run as root in a separate root file system, see `tests.scratch_root`. The tests compare
their effects.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k3s_rootless import host_change
from k3s_rootless.errors import RootlessError
from k3s_rootless.finding import Finding, FixableBy
from k3s_rootless.host_change import Measure, Then
from k3s_rootless.observation import Known
from k3s_rootless.paths import linger_flag
from k3s_rootless.preflight.checks import checklist
from k3s_rootless.preflight.remedies import admin_script, apparmor_profile, host, nixos
from tests.preflight.remedies.test_admin_script import HOST, finding
from tests.scratch_root import ALICE, ScratchRoot, build, needs_root
from tests.strategies import HEALTHY, place

NAMES = (
    "CORP\\alice",
    "CORP\\\\alice",
    "a\\nb",
    "a\\",
    "\\134",
    "with space",
    " leading",
    "$(touch /pwned)",
    "`touch /pwned`",
    "';touch /pwned;'",
    '";touch /pwned;"',
    "x;touch /pwned",
    "x&touch /pwned",
    "x|touch /pwned",
    ">/pwned",
    "-rf",
    "--help",
    "-e",
    "it's",
    'a"b',
    "*",
    "[a-z]",
    "a?b",
    "~root",
    "#alice",
    "END",
    "%s%n",
    "1e3",
    "0x5DC",
    "01500",
    "..",
    "../../etc/x",
    "${x}",
    "!!",
    "a=b",
    "é",
    "アリス",
    "alice@corp.example",
    "alice$",
    "a,b",
    "\\x2d",
    "x" * 200,
)
PATHS = (
    "/home/alice/bin/k3s",
    "/home/john.doe/bin/k3s",
    "/home/john/doe/bin/k3s",
    "/home/john_doe/bin/k3s",
    "/home/it's/k3s",
    "/home/a b/k3s",
    "/home/$(touch /pwned)/k3s",
    "/home/`touch /pwned`/k3s",
    '/home/"/k3s',
    "/home/{a,b}/k3s",
    "/home/*/k3s",
    "/home/[a]/k3s",
    "/home/@{HOME}/k3s",
    "/home/\\/k3s",
    "/home/\\134/k3s",
    "/home/END/END",
    "/home/é/k3s",
    "/home/É/k3s",
    "/home/..../k3s",
    "/home/-/k3s",
    "/home/%s/k3s",
    "/home/a#b/k3s",
    "/home/a,b/k3s",
    f"/home/{'x' * 250}/k3s",
    f"/home/{'x' * 250}/k4s",
    f"/home/{'é' * 120}/k3s",
    f"/home/{'a/' * 1500}k3s",
    "/home/john/doe.bin/k3s",
)
CONTROLS = (
    "\n",
    "\t",
    "\r",
    "\x1b[2J",
    "\0",
    "\x7f",
    "\x85",
    "\u2028",
    "\u202e",
    "\udc80",
    "\n\tcreated\t/etc/passwd\n",
)

assert isinstance(HEALTHY.storage, Known)
STORAGE = HEALTHY.storage.value


@pytest.fixture
def tree(tmp_path: Path) -> ScratchRoot:
    return build(tmp_path, "dash")


def text_of(*measures: Measure, user: str = "alice") -> str:
    return admin_script.render([finding(one) for one in measures], replace(HOST, user=user))


def verdict_of(check: str, **changes: Any) -> Finding:
    (found,) = (one for one in checklist.CHECKS if one.id == check)
    return found.of(replace(HEALTHY, **changes))


@pytest.mark.thorough
@needs_root
@pytest.mark.parametrize("shell", ["dash", "busybox"])
def test_every_name_gets_its_ids_once_and_loses_them_again(tmp_path: Path, shell: str) -> None:
    tree = build(tmp_path, shell)
    before = tree.state()

    for name in NAMES:
        (tree.path / "root/linger-flag").write_text(f"{linger_flag(name)}\n")
        # systemd refuses lingering for a name with a slash, and `..` is an existing directory.
        measures = (host_change.Linger(name),) if "/" not in name and name != ".." else ()
        text = text_of(host_change.SubordinateIds(name), *measures, user=name)
        for _ in range(2):
            done = tree.run(text)
            assert (0, "") == (done.returncode, done.stderr), name
            for table in ("etc/subuid", "etc/subgid"):
                assert f"bob:100000:65536\n{name}:165536:65536\n" == tree.read(table), name
        undone = tree.run(text, "--undo")
        assert (0, "") == (undone.returncode, undone.stderr), name
        assert before == tree.state(), name


@pytest.mark.thorough
@needs_root
def test_every_path_of_k3s_gets_its_own_profile(tree: ScratchRoot) -> None:
    before = tree.state()
    texts = {path: text_of(*host.apparmor(path).measures) for path in PATHS}

    for path, text in texts.items():
        done = tree.run(text)
        assert (0, "") == (done.returncode, done.stderr), path
        file, lines = apparmor_profile.unconfined(path)
        assert "\n".join(lines) + "\n" == tree.read(file[1:]), path
    loaded = tree.read("sys/kernel/security/apparmor/profiles").splitlines()
    assert len(PATHS) == len(set(loaded)) == len(list((tree.path / "etc/apparmor.d").iterdir()))
    assert 0 == tree.run(text, "--undo").returncode

    assert before == tree.state()


@given(
    st.lists(
        st.text(min_size=1, max_size=400).map(lambda text: "/" + text.replace("\0", "/")),
        unique=True,
        max_size=5,
    )
)
@settings(deadline=None)
def test_no_two_profiles_share_a_name(paths: list[str]) -> None:
    files = [apparmor_profile.unconfined(path)[0] for path in paths]

    assert len(files) == len(set(files))
    assert all(
        len(Path(file).name.encode()) <= 200 and file.isascii() and file.isprintable()
        for file in files
    )


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
@pytest.mark.parametrize(
    "measures_of",
    [
        lambda bad: (host_change.SubordinateIds(f"al{bad}ice"),),
        lambda bad: (host_change.Linger(f"al{bad}ice"),),
        lambda bad: (host_change.File(f"/etc/x{bad}y", "text\n"),),
        lambda bad: (host_change.Sysctl("net.ipv4.ip_forward", f"1{bad}"),),
        lambda bad: (host_change.Module(f"tun{bad}"),),
        lambda bad: (host_change.PlainFile(f"/etc/subuid{bad}"),),
        lambda bad: (host_change.BootArgument((f"a=1{bad}b",)),),
    ],
    ids=["ids", "linger", "file", "sysctl", "module", "link", "boot"],
)
def test_a_control_character_is_refused(
    measures_of: Callable[[str], tuple[Measure, ...]], control: str
) -> None:
    with pytest.raises(RootlessError, match="control character"):
        text_of(*measures_of(control))


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_a_control_character_of_the_user_or_the_path_is_refused(control: str) -> None:
    with pytest.raises(RootlessError, match="control character"):
        text_of(host_change.Module("tun"), user=f"al{control}ice")
    with pytest.raises(RootlessError, match="control character"):
        nixos.render([host.subids("x")], f"al{control}ice")
    assert FixableBy.USER == host.apparmor(f"/home/al{control}ice/k3s").fixable_by
    with pytest.raises(ValueError, match="not in MODES"):
        host_change.Mode(f"/tmp/{control}")


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_texts_and_commands_with_control_characters_stay_on_their_line(control: str) -> None:
    """A reason or an observation is a comment, and can contain any character.

    A command with control characters is left out.
    """
    one = finding(
        text=f"a{control}exit 77",
        observed=f"b{control}exit 77",
        commands=(f"sudo c{control}d", "sudo e"),
    )
    other = finding(
        host_change.Mode("/tmp"), text=f"f{control}exit 77", observed=f"g{control}exit 77"
    )

    text = admin_script.render([one, other], HOST)

    assert all(line.isprintable() for line in text.split("\n"))
    assert not any(line.startswith("exit 77") for line in text.split("\n"))
    assert "sudo c" not in text
    assert "    sudo e\n" in text
    subprocess.run(["sh", "-n", "-c", text], check=True)


@pytest.mark.parametrize(
    "temporary",
    [
        "/home/alice/tmp",
        "/etc",
        "/tmp/",
        "/tmp/../etc",
        "/tmp/x",
        "/tmp\n",
        "/tmp\tcreated\t/etc/passwd",
        "//tmp",
        "/TMP",
        ".",
    ],
    ids=ascii,
)
def test_no_tmpdir_of_the_unit_reaches_the_script(temporary: str) -> None:
    seen = replace(STORAGE, temporary=place(temporary, writable=False))

    found = verdict_of("storage.tmp", storage=Known(seen))

    assert found.remedy is not None
    assert (FixableBy.USER, ()) == (found.remedy.fixable_by, found.remedy.measures)
    assert not any(
        temporary in command for command in found.remedy.commands if temporary not in {"/tmp/", "."}
    )
    assert {} == admin_script.administrator_remedies([found])


@pytest.mark.parametrize(
    ("home", "exists", "owner", "data"),
    [
        ("/", False, 0, "/"),
        ("/", True, ALICE, "/srv"),
        ("/home", False, 0, "/home"),
        ("/home", False, 0, "/home/alice"),
        ("/home/alice", True, ALICE, "/home/alice"),
        ("/home/alice", True, ALICE, "/home/alice2/.rancher"),
        ("/home/alice", True, ALICE, "/home/alicex"),
        ("/home/alice", True, 0, "/home/alice/.rancher"),
        ("/home/alice", True, 1501, "/home/alice/.rancher"),
        ("/home/alice", True, ALICE, "/home/al"),
        ("/home/alice", True, ALICE, "/srv/k3s"),
        ("/home/alice", True, ALICE, "/home/alice/x\ny"),
        ("/home/alice", True, ALICE, "/home/alice/\x1b[2J"),
    ],
)
def test_no_command_changes_the_owner_of_a_file_outside_the_home_of_the_user(
    home: str,
    exists: bool,  # noqa: FBT001
    owner: int,
    data: str,
) -> None:
    seen = replace(
        STORAGE,
        home=place("/home/alice", found=home, exists=exists, owner=owner),
        data=place("/home/alice/.rancher/k3s", found=data, owner=0, writable=False),
    )

    found = verdict_of("storage.data", storage=Known(seen))

    assert "fail" == found.verdict.value
    assert found.remedy is not None
    assert not any("chown" in command for command in found.remedy.commands)


@pytest.mark.parametrize("user", ["alice", "CORP\\alice", "a b", "$(id)", "-R"])
def test_a_directory_of_root_inside_the_home_is_given_to_the_user_and_follows_no_link(
    user: str,
) -> None:
    seen = replace(
        STORAGE,
        home=place("/home/it's", exists=True, owner=HEALTHY.uid),
        data=place("/home/it's/.rancher/k3s", found="/home/it's/.rancher", owner=0, writable=False),
    )

    found = verdict_of("storage.data", storage=Known(seen), user=user)

    assert found.remedy is not None
    (command,) = found.remedy.commands
    shown = subprocess.run(
        ["sh", "-c", f"sudo() {{ printf '%s\\n' \"$@\"; }}\n{command}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ["chown", "-hR", "--", f"{user}:", "/home/it's/.rancher"] == shown.stdout.splitlines()


FILE = host_change.File(
    "/etc/systemd/system/user@.service.d/60-k3s-rootless.conf",
    "[Service]\nDelegate=cpu\n",
    Then.SYSTEMD,
)
PROFILE = host_change.File(
    "/etc/apparmor.d/k3s-rootless.x", "profile k3s-rootless.x {\n}\n", Then.APPARMOR
)
IDS = host_change.SubordinateIds("alice")
BOOT = host_change.BootArgument(("cgroup_memory=1",))
DIRECTORY = "d=/etc/systemd/system/user@.service.d"
SABOTAGES = (
    (host_change.Mode("/tmp"), "mv /tmp /tmp.away; ln -s /etc /tmp"),
    (host_change.Mode("/tmp"), "mv /tmp /tmp.away; ln -s /home/alice /tmp"),
    (host_change.Mode("/tmp"), "chown 1500 /tmp"),
    (host_change.Mode("/var/tmp"), "ln -s /etc /var/tmp"),
    (host_change.Mode("/var/tmp"), "mkdir /var/tmp; chown 1500 /var"),
    (host_change.Mode("/var/tmp"), "mkdir /var/tmp; chmod 777 /var"),
    (host_change.Mode("/dev/net/tun"), "rm /dev/net/tun; ln -s /etc/shadow /dev/net/tun"),
    (host_change.Mode("/dev/net/tun"), "chown 1500 /dev/net"),
    (host_change.Mode("/dev/net/tun"), "chmod 775 /dev/net"),
    (
        host_change.Mode("/dev/net/tun"),
        "mv /dev/net /home/alice/net; ln -s /home/alice/net /dev/net",
    ),
    (
        host_change.Mode("/usr/bin/newuidmap"),
        "rm /usr/bin/newuidmap; ln -s /home/alice/evil /usr/bin/newuidmap",
    ),
    (host_change.Mode("/usr/bin/newuidmap"), "chown 1500 /usr/bin/newuidmap"),
    (host_change.Mode("/usr/bin/newuidmap"), "chmod 775 /usr/bin/newuidmap"),
    (host_change.Mode("/usr/bin/newuidmap"), "chmod 757 /usr/bin/newuidmap"),
    (host_change.Mode("/usr/bin/newuidmap"), "chmod 777 /usr/bin"),
    (host_change.Mode("/usr/bin/newuidmap"), "chown 1500 /usr"),
    (
        host_change.Mode("/usr/local/bin/newuidmap"),
        "cp /home/alice/evil /usr/local/bin/newuidmap; chmod 775 /usr/local/bin",
    ),
    (host_change.PlainFile("/etc/subuid"), "rm /etc/subuid; ln -s /home/alice/evil /etc/subuid"),
    (
        host_change.PlainFile("/etc/subuid"),
        "mv /etc/subuid /etc/other; chmod 666 /etc/other; ln -s other /etc/subuid",
    ),
    (
        host_change.PlainFile("/etc/subuid"),
        "mv /etc/subuid /home/alice/subuid; ln -s /home/alice/subuid /etc/subuid",
    ),
    (IDS, "rm /etc/subuid; ln -s /etc/passwd /etc/subuid"),
    (IDS, "chown 1500 /etc/subuid"),
    (IDS, "chmod 666 /etc/subuid"),
    (IDS, "chown 1500 /etc"),
    (IDS, "chmod 777 /etc"),
    (FILE, "chown 1500 /etc/systemd"),
    (FILE, "chmod 777 /etc/systemd/system"),
    (FILE, "ln -s /home/alice $d"),
    (FILE, "mkdir $d; chown 1500 $d"),
    (FILE, "mkdir $d; ln -s /etc/passwd $d/60-k3s-rootless.conf"),
    (FILE, "mkdir -p $d/60-k3s-rootless.conf; chown 1500 $d/*"),
    (PROFILE, "rmdir /etc/apparmor.d; ln -s /home/alice /etc/apparmor.d"),
    (PROFILE, "chmod 1777 /etc/apparmor.d"),
    (
        PROFILE,
        (
            "cp /home/alice/evil /etc/apparmor.d/k3s-rootless.x;"
            " chown 1500 /etc/apparmor.d/k3s-rootless.x"
        ),
    ),
    (BOOT, "mv /boot /home/alice/boot; ln -s /home/alice/boot /boot"),
    (BOOT, "rm /boot/cmdline.txt; ln -s /etc/passwd /boot/cmdline.txt"),
    (BOOT, "chown 1500 /boot"),
    (FILE, "mkdir /var/lib/k3s-rootless; chown 1500 /var/lib/k3s-rootless"),
    (FILE, "mkdir /var/lib/k3s-rootless; chmod 777 /var/lib/k3s-rootless"),
    (FILE, "ln -s /home/alice /var/lib/k3s-rootless"),
    (FILE, "mkdir /var/lib/k3s-rootless; ln -s /etc /var/lib/k3s-rootless/1500"),
    (
        FILE,
        "mkdir -p /var/lib/k3s-rootless/1500; ln -s /etc/passwd /var/lib/k3s-rootless/1500/done",
    ),
    (FILE, "mkdir -p /var/lib/k3s-rootless/1500; chmod 775 /var/lib/k3s-rootless/1500"),
    (FILE, "chmod 777 /var/lib"),
)


def outside(tree: ScratchRoot) -> dict[str, tuple[str, int, int, bytes]]:
    """Return the state of everything except the directory of the record."""
    return {
        name: seen
        for name, seen in tree.state().items()
        if not name.startswith("var/lib/k3s-rootless")
    }


@pytest.mark.thorough
@needs_root
@pytest.mark.parametrize(
    ("measured", "sabotage"), SABOTAGES, ids=[sabotage for _, sabotage in SABOTAGES]
)
def test_root_refuses_links_and_what_others_can_write(
    tree: ScratchRoot, measured: Measure, sabotage: str
) -> None:
    (tree.path / "home/alice/evil").write_text("alice:0:65536\n")
    (tree.path / "etc/shadow").write_text("secret\n")
    (tree.path / "etc/shadow").chmod(0o600)
    text = text_of(measured)
    tree.run(f"set -e\n{DIRECTORY}\n{sabotage}").check_returncode()
    before = outside(tree)

    done = tree.run(text)

    assert 0 != done.returncode, done.stdout
    assert "refused: " in done.stderr
    assert before == outside(tree)
    assert not (tree.path / "home/alice/1500").exists(), "no record in a directory of the user"


@pytest.mark.thorough
@needs_root
@pytest.mark.parametrize(
    "sabotage",
    [
        "rm /etc/subuid; ln -s /etc/passwd /etc/subuid",
        "chown 1500 /etc/subuid",
        "chmod 777 /etc",
        "chown 1500 /etc/systemd",
        "chmod 775 $d",
        "mv $d /home/alice/d; ln -s /home/alice/d $d",
        "mv $d/* /home/alice/evil.conf; ln -s /home/alice/evil.conf $d/60-k3s-rootless.conf",
        "chown 1500 /dev/net",
        "mv /dev/net /home/alice/net; ln -s /home/alice/net /dev/net",
        "rm /dev/net/tun; ln -s /etc/shadow /dev/net/tun",
        "mv /var/lib/k3s-rootless /home/alice/kept; ln -s /home/alice/kept /var/lib/k3s-rootless",
        "chown 1500 /var/lib/k3s-rootless/1500",
    ],
)
def test_undo_refuses_links_and_what_others_can_write(tree: ScratchRoot, sabotage: str) -> None:
    """If a file or directory was replaced after the script ran, undo leaves it and reports this."""
    (tree.path / "etc/shadow").write_text("secret\n")
    text = text_of(FILE, IDS, host_change.Mode("/dev/net/tun"))
    tree.run(text).check_returncode()
    tree.run(f"set -e\n{DIRECTORY}\n{sabotage}").check_returncode()

    def foreign() -> dict[str, tuple[str, int, int, bytes]]:
        return {
            name: seen
            for name, seen in tree.state().items()
            if name.startswith(("home/", "etc/passwd", "etc/shadow"))
        }

    before = foreign()
    done = tree.run(text, "--undo")

    assert 1 == done.returncode, done.stdout
    assert "refused: " in done.stderr
    assert before == foreign()


@needs_root
@pytest.mark.parametrize(
    "line",
    [
        "created\t/etc/passwd",
        "created\t/home/alice/k3s-rootless",
        "created\t/etc/../home/alice/k3s-rootless",
        "created\t/etc/link/k3s-rootless",
        "created\t-rf",
        "replaced\t/etc/passwd\t/home/alice/evil",
        "replaced\t/etc/link/k3s-rootless\t/home/alice/evil",
        "mode\t/etc/shadow\t666",
        "mode\t/tmp/../etc/shadow\t666",
        "mode\t/home/alice/evil\t4777",
        "directory\t/etc/link/empty",
        "table\t/home/alice/../../etc/empty",
        "ids\t/etc/link/passwd\troot:x:0:0::/root:/bin/sh",
        "link\t/etc/link/passwd\t/home/alice/evil",
        "$(touch /pwned)\t/etc",
        "`touch /pwned`",
        "*",
    ],
)
def test_a_line_in_the_record_that_no_script_writes_is_refused(
    tree: ScratchRoot, line: str
) -> None:
    for name in (
        "home/alice/evil",
        "home/alice/k3s-rootless",
        "etc/shadow",
        "etc/empty",
        "home/alice/passwd",
    ):
        (tree.path / name).write_text(
            "root:x:0:0::/root:/bin/sh\n" if name.endswith("passwd") else ""
        )
    (tree.path / "etc/link").symlink_to("/home/alice")
    (tree.path / "home/alice/empty").mkdir()
    record = tree.path / "var/lib/k3s-rootless/1500"
    record.mkdir(parents=True)
    (record / "done").write_text(f"{line}\n")
    before = outside(tree)

    done = tree.run(admin_script.render_undo(HOST))

    assert 1 == done.returncode, done.stdout
    assert "cannot undo: " in done.stderr
    assert before == outside(tree)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_the_text_has_the_same_bytes_as_json_under_every_encoding(encoding: str) -> None:
    script_text = text_of(*host.apparmor("/home/é\\n$x/k3s").measures, user="bjørn")
    code = (
        "import sys\nfrom k3s_rootless.cli.display.report import"
        " Report\nReport().verbatim(sys.stdin.buffer.read())\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        input=script_text.rstrip("\n").encode(),
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )

    assert script_text.encode() == done.stdout
