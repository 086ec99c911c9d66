"""Tests that run the administrator's script as root, in its own root file system.

They check what the script changes, keeps and undoes.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from k3s_rootless import host_change
from k3s_rootless.host_change import Measure, Then
from k3s_rootless.preflight.remedies import admin_script
from tests.preflight.remedies.test_admin_script import HOST, finding
from tests.scratch_root import ScratchRoot, build, needs_root

pytestmark = needs_root
CONF = "/etc/systemd/system/user@.service.d/60-k3s-rootless.conf"
PROFILE = "/etc/apparmor.d/k3s-rootless.home.alice.bin.k3s"
FILES: tuple[Measure, ...] = (
    host_change.File(CONF, "[Service]\nDelegate=cpu\n", Then.SYSTEMD),
    host_change.File(PROFILE, "profile k3s-rootless.home.alice.bin.k3s {\n}\n", Then.APPARMOR),
    host_change.File("/etc/udev/rules.d/99-k3s-rootless-tun.rules", "#\n", Then.UDEV),
    host_change.SubordinateIds("alice"),
    host_change.Mode("/dev/net/tun"),
    host_change.Mode("/usr/bin/newuidmap"),
    host_change.BootArgument(("cgroup_enable=memory", "cgroup_memory=1")),
    host_change.Linger("alice"),
)
EVERYTHING: tuple[Measure, ...] = (
    *FILES,
    host_change.Sysctl("net.ipv4.ip_forward", "1"),
    host_change.Sysctl("user.max_user_namespaces", "28633", least=True),
    host_change.Module("tun"),
)
OWN_TEXT = "# the administrator's own\n"


def text_of(*measures: Measure, host: admin_script.Host = HOST) -> str:
    return admin_script.render([finding(one) for one in measures], host)


@pytest.fixture
def tree(tmp_path: Path) -> ScratchRoot:
    return build(tmp_path, "dash")


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_the_second_run_changes_nothing_and_undo_restores_everything(
    tmp_path: Path, shell: str
) -> None:
    tree = build(tmp_path, shell)
    text = text_of(*(FILES if shell == "busybox" else EVERYTHING))
    before = tree.state()

    first = tree.run(text)
    assert (0, "") == (first.returncode, first.stderr)
    after = tree.state()
    assert before != after
    again = tree.run(text)
    assert (0, "") == (again.returncode, again.stderr)
    assert after == tree.state()
    assert (
        b"k3s-rootless.home.alice.bin.k3s (unconfined)\n"
        in after["sys/kernel/security/apparmor/profiles"][3]
    )

    undone = tree.run(text, "--undo")
    assert (0, "") == (undone.returncode, undone.stderr)
    assert before == tree.state()
    assert f"removed {CONF}\n" in undone.stdout
    assert "removed alice:165536:65536 from /etc/subuid\n" in undone.stdout
    assert "disabled lingering for uid 1500\n" in undone.stdout
    assert 0 == tree.run(text, "--undo").returncode, "a second undo is no failure"


KILLER = """#!/bin/sh
read -r n </root/count
read -r limit when </root/limit
n=$((n + 1))
echo "$n" >/root/count
[ "$n$when" != "${{limit}}before" ] || kill -9 0
/root/real/{0} "$@"
code=$?
[ "$n" != "$limit" ] || kill -9 0
exit $code
"""


@pytest.mark.thorough
def test_killed_at_any_command_that_changes_a_file_it_loses_nothing(tree: ScratchRoot) -> None:
    """The process group is killed before or after the nth command.

    Then the script runs again, or not, and is undone.
    """
    conf = tree.path / CONF[1:]
    conf.parent.mkdir()
    conf.write_text(OWN_TEXT)
    (tree.path / "root/real").mkdir()
    for name in ("mv", "cp", "mkdir", "rm", "chmod"):
        (tree.path / "usr/bin" / name).rename(tree.path / "root/real" / name)
        program = tree.path / "usr/bin" / name
        program.write_text(KILLER.format(name))
        program.chmod(0o755)
    text = text_of(
        FILES[0],
        FILES[1],
        host_change.SubordinateIds("alice"),
        host_change.Mode("/usr/bin/newuidmap"),
    )
    before = tree.state()

    for limit in range(1, 200):
        when, again = ("before", "after")[limit % 2], limit % 4 < 2
        (tree.path / "root/count").write_text("0\n")
        (tree.path / "root/limit").write_text(f"{limit} {when}\n")
        killed = tree.run(text)
        (tree.path / "root/limit").write_text("0 never\n")
        if again:
            assert 0 == tree.run(text).returncode
        undone = tree.run(text, "--undo")
        assert (0, "") == (undone.returncode, undone.stderr)
        assert before == tree.state(), f"killed {when} command {limit}, then run again: {again}"
        if killed.returncode == 0:
            assert limit > 20, "the script is killed at many places"
            return
    pytest.fail("the script never reaches its end")


def test_undo_restores_a_file_that_existed(tree: ScratchRoot) -> None:
    conf = tree.path / CONF[1:]
    conf.parent.mkdir()
    conf.write_text(OWN_TEXT)
    conf.chmod(0o600)
    before = tree.state()
    text = text_of(FILES[0])

    tree.run(text).check_returncode()
    assert "Delegate" in conf.read_text()
    tree.run(text, "--undo").check_returncode()

    assert before == tree.state()


@pytest.mark.parametrize("there", [True, False], ids=["replaced", "created"])
@pytest.mark.parametrize("edits", [1, 2])
def test_an_edit_between_two_runs_is_kept(
    tree: ScratchRoot,
    there: bool,  # noqa: FBT001 (pytest passes it by name)
    edits: int,
) -> None:
    conf = tree.path / CONF[1:]
    if there:
        conf.parent.mkdir()
        conf.write_text(OWN_TEXT)
    text = text_of(FILES[0])
    tree.run(text).check_returncode()

    for number in range(edits):
        conf.write_text(f"# edit {number}\n")
        done = tree.run(text)
        assert 0 == done.returncode
        assert f"{CONF} was edited" in done.stdout
        assert "Delegate" in conf.read_text()
    undone = tree.run(text, "--undo")

    assert 0 == undone.returncode, undone.stderr
    assert (OWN_TEXT if there else None) == (conf.read_text() if conf.exists() else None)
    edited = tree.path / "var/lib/k3s-rootless/1500/edited"
    assert str(edited).removeprefix(str(tree.path)) in undone.stdout
    assert {f"# edit {number}\n" for number in range(edits)} == {
        one.read_text() for one in edited.iterdir()
    }


def test_an_edit_before_the_undo_is_kept(tree: ScratchRoot) -> None:
    conf = tree.path / CONF[1:]
    text = text_of(FILES[0])
    tree.run(text).check_returncode()
    conf.write_text("# mine now\n")

    undone = tree.run(text, "--undo")

    assert 0 == undone.returncode, undone.stderr
    assert not conf.exists()
    (kept,) = (tree.path / "var/lib/k3s-rootless/1500/edited").iterdir()
    assert "# mine now\n" == kept.read_text()


def test_a_later_script_that_writes_another_text_keeps_no_copy_of_the_first(
    tree: ScratchRoot,
) -> None:
    before = tree.state()
    tree.run(text_of(FILES[0])).check_returncode()
    later = text_of(host_change.File(CONF, "[Service]\nDelegate=cpu io\n", Then.SYSTEMD))

    done = tree.run(later)

    assert 0 == done.returncode
    assert "edited" not in done.stdout
    tree.run(later, "--undo").check_returncode()
    assert before == tree.state()


def test_lingering_that_was_on_before_stays_on(tree: ScratchRoot) -> None:
    (tree.path / "var/lib/systemd/linger/CORP\\\\alice").write_text("")
    text = text_of(host_change.Linger("CORP\\alice"), host_change.SubordinateIds("CORP\\alice"))
    before = tree.state()

    tree.run(text).check_returncode()
    tree.run(text, "--undo").check_returncode()

    assert before == tree.state()
    assert not (tree.path / "calls").exists(), "loginctl was not called"


def test_a_profile_whose_file_was_deleted_is_unloaded(tree: ScratchRoot) -> None:
    text = text_of(FILES[1])
    before = tree.state()
    tree.run(text).check_returncode()
    (tree.path / PROFILE[1:]).unlink()

    undone = tree.run(text, "--undo")

    assert (0, "") == (undone.returncode, undone.stderr)
    assert before == tree.state()


def test_a_profile_that_was_unloaded_already_is_no_failure(tree: ScratchRoot) -> None:
    text = text_of(FILES[1])
    tree.run(text).check_returncode()
    (tree.path / "sys/kernel/security/apparmor/profiles").write_text("")

    assert 0 == tree.run(text, "--undo").returncode


def test_undo_keeps_rows_of_ids_that_were_changed_after_the_script(tree: ScratchRoot) -> None:
    text = text_of(host_change.SubordinateIds("alice"))
    (tree.path / "etc/subuid").write_text("bob:100000:65536")  # no newline at its end
    tree.run(text).check_returncode()
    assert "bob:100000:65536\nalice:165536:65536\n" == tree.read("etc/subuid")
    (tree.path / "etc/subuid").write_text(
        "carol:300000:65536\nalice:165536:65536\ndave:400000:65536\n"
    )

    tree.run(text, "--undo").check_returncode()

    assert "carol:300000:65536\ndave:400000:65536\n" == tree.read("etc/subuid")


def test_a_table_of_ids_that_did_not_exist_is_deleted_again(tree: ScratchRoot) -> None:
    (tree.path / "etc/subuid").unlink()
    before = tree.state()
    text = text_of(host_change.SubordinateIds("alice"))

    tree.run(text).check_returncode()
    tree.run(text, "--undo").check_returncode()

    assert before == tree.state()


def test_undo_restores_a_link_to_a_table_of_ids(tree: ScratchRoot) -> None:
    (tree.path / "etc/subgid").rename(tree.path / "etc/subgid.elsewhere")
    (tree.path / "etc/subgid").symlink_to("subgid.elsewhere")
    before = tree.state()
    text = text_of(host_change.SubordinateIds("alice"), host_change.PlainFile("/etc/subgid"))

    tree.run(text).check_returncode()
    assert not (tree.path / "etc/subgid").is_symlink()
    assert "bob:100000:65536\n" == tree.read("etc/subgid.elsewhere")
    tree.run(text, "--undo").check_returncode()

    assert before == tree.state()


def test_the_script_can_be_overwritten_while_it_runs(tree: ScratchRoot) -> None:
    """A shell that reads a script line by line would continue in the new text."""
    text = text_of(*FILES)
    hostile = "touch /pwned\n" * (len(text) // len("touch /pwned\n") + 1)
    (tree.path / "root/hostile").write_text(hostile)
    tree.stand_in("systemctl", "cat /root/hostile >/root/script")

    done = tree.run(text)

    assert (0, "") == (done.returncode, done.stderr)
    assert not (tree.path / "pwned").exists()


def test_an_incomplete_script_does_nothing(tree: ScratchRoot) -> None:
    text = text_of(*FILES)
    end = len(text.rstrip("\n"))
    before = tree.state()

    for cut in (*range(0, end, end // 40), *range(end - 14, end)):
        tree.run(text[:cut])
        assert before == tree.state(), f"cut off after {cut} characters: {text[:cut][-40:]}"


def test_a_script_without_its_last_newline_works(tree: ScratchRoot) -> None:
    assert 0 == tree.run(text_of(*FILES).rstrip("\n")).returncode


def repository(tree: ScratchRoot, tmp_path: Path) -> None:
    """Create a Debian repository with two packages in the tree, and link this machine's apt."""
    for name in ("apt-get", "ldconfig", "start-stop-daemon"):
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"{name} is not installed")
        (tree.path / "usr/bin" / name).symlink_to(f"/host{Path(found).resolve()}")
    state = (
        "etc/apt/apt.conf.d",
        "etc/apt/preferences.d",
        "var/log/apt",
        "var/lib/apt/lists/partial",
        "var/cache/apt/archives/partial",
        "var/lib/dpkg/triggers",
    )
    for name in ("pool", *state):
        (tree.path / name).mkdir(parents=True, exist_ok=True)
    (tree.path / "etc/apt/sources.list").write_text("deb [trusted=yes] file:/pool ./\n")
    (tree.path / "etc/apt/apt.conf").write_text(
        'APT::Sandbox::User "root";\nDir::Bin::methods "/host/usr/lib/apt/methods";\n'
    )
    index = ""
    for name, depends in (("fuse3", ""), ("sshfs", "Depends: fuse3\n")):
        source, package = tmp_path / f"root/{name}", tree.path / f"pool/{name}.deb"
        (source / "DEBIAN").mkdir(parents=True)
        control = (
            f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription:"
            f" x\n{depends}"
        )
        (source / "DEBIAN/control").write_text(control)
        subprocess.run(["dpkg-deb", "--build", source, package], check=True, capture_output=True)
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        index += (
            f"{control}Filename: ./{name}.deb\nSize: {package.stat().st_size}\nSHA256: {digest}\n\n"
        )
    (tree.path / "pool/Packages").write_text(index)


def installed(tree: ScratchRoot) -> list[str]:
    listed = tree.run("dpkg-query -W -f '${Package} ${db:Status-Status}\\n'").stdout.splitlines()
    return [line.removesuffix(" installed") for line in listed if line.endswith(" installed")]


def test_a_package_that_nothing_needs_is_removed(tree: ScratchRoot, tmp_path: Path) -> None:
    repository(tree, tmp_path)
    text = text_of(host_change.Package("mount.fuse3"))

    done = tree.run(text)
    assert 0 == done.returncode, done.stderr
    assert ["fuse3"] == installed(tree)
    undone = tree.run(text, "--undo")

    assert 0 == undone.returncode, undone.stderr
    assert [] == installed(tree)
    assert "removed the package fuse3" in undone.stdout


def test_a_package_that_another_one_needs_stays(tree: ScratchRoot, tmp_path: Path) -> None:
    repository(tree, tmp_path)
    text = text_of(host_change.Package("mount.fuse3"))
    tree.run(text).check_returncode()
    tree.run("apt-get -y install sshfs").check_returncode()

    undone = tree.run(text, "--undo")

    assert 0 == undone.returncode, undone.stderr
    assert ["fuse3", "sshfs"] == installed(tree)
    assert "the package fuse3 stays installed: other packages depend on it" in undone.stdout
    assert not (tree.path / "var/lib/k3s-rootless").exists()


RPM = 'case $1 in -q) [ -e "/proc/rpm.$2" ] ;; -e) [ ! -e /proc/needed ] ;; esac'
RPM_FRONT = """
last=; for last; do :; done
case $* in
    *install*) : >"/proc/rpm.$last"; : >/proc/rpm.dependency ;;
    *--setopt=clean_requirements_on_remove=False*remove* | *remove*--no-clean-deps*)
        rm "/proc/rpm.$last" ;;
    *remove*) rm "/proc/rpm.$last" /proc/rpm.dependency ;;
esac"""
PACMAN = """
last=; for last; do :; done
case $* in
    -Q*) [ -e "/proc/rpm.$last" ] ;;
    -S*) : >"/proc/rpm.$last"; : >/proc/rpm.dependency ;;
    *-Rs*) exit 2 ;;
    -R*) [ ! -e /proc/needed ] || exit 1; \
case $* in *--print*) ;; *) rm "/proc/rpm.$last" ;; esac ;;
esac"""


@pytest.mark.parametrize("front", ["dnf", "zypper", "pacman"])
@pytest.mark.parametrize("needed", [True, False])
def test_other_package_managers_are_queried_before_a_removal(
    tree: ScratchRoot,
    front: str,
    needed: bool,  # noqa: FBT001 (pytest passes it by name)
) -> None:
    """The programs are stand-ins, written after rpm(8), dnf(8), zypper(8) and pacman(8).

    `rpm -e --test` and `pacman -R --print` fail if another package needs the package. dnf removes
    dependencies by default, and zypper if zypp.conf has `solver.cleandepsOnRemove`.
    """
    if front == "pacman":
        tree.stand_in("pacman", PACMAN)
    else:
        tree.stand_in("rpm", RPM)
        tree.stand_in(front, RPM_FRONT)
    text = text_of(host_change.Package("mount.fuse3"))
    tree.run(text).check_returncode()
    assert (tree.path / "proc/rpm.fuse3").exists()
    if needed:
        (tree.path / "proc/needed").write_text("")

    undone = tree.run(text, "--undo")

    assert 0 == undone.returncode, undone.stderr
    assert needed == (tree.path / "proc/rpm.fuse3").exists()
    assert needed == ("stays installed" in undone.stdout)
    assert (tree.path / "proc/rpm.dependency").exists()
