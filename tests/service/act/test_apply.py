from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.paths import UNIT
from k3s_rootless.service.act import apply
from k3s_rootless.service.observe import files
from k3s_rootless.service.plan import steps
from k3s_rootless.service.systemd.user import UserManager
from tests.fakes.session import PROJECT, Session
from tests.patience import PATIENCE

OTHER = 65534


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def program(body: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(body)], cwd=PROJECT, stdout=subprocess.PIPE
    )


def message_of(body: str) -> str:
    """Run `body` in a separate process; return the message of the RootlessError that it raises."""
    before = (
        "from pathlib import Path\nfrom k3s_rootless.service.act import apply\n"
        "from k3s_rootless.errors import RootlessError\n"
    )
    work = textwrap.indent(textwrap.dedent(body), "    ")
    with program(
        f"{before}try:\n{work}\nexcept RootlessError as error:\n    print(error.message)\n"
    ) as process:
        assert process.stdout is not None
        return process.stdout.read().decode().strip()


def test_a_file_is_written_whole_with_its_directories(tmp_path: Path) -> None:
    path = tmp_path / "systemd" / "user" / UNIT
    apply.write(path, "[Unit]\r\nDescription=é \udcff\n")

    assert b"[Unit]\r\nDescription=\xc3\xa9 \xff\n" == path.read_bytes()
    assert 0o644 == stat.S_IMODE(path.stat().st_mode)
    assert [UNIT] == names(path.parent)


@pytest.mark.parametrize(
    ("umask", "mode"), [(0o000, 0o755), (0o002, 0o755), (0o022, 0o755), (0o077, 0o700)]
)
def test_no_directory_that_is_made_can_be_written_by_others(
    tmp_path: Path, umask: int, mode: int
) -> None:
    place = tmp_path / "config" / "systemd" / "user"
    message = message_of(f"""
        import os
        os.umask({umask})
        apply.write(Path({str(place / UNIT)!r}), "new")
    """)

    assert "" == message
    made = (place, place.parent, place.parent.parent)
    assert [mode] * 3 == [stat.S_IMODE(one.stat().st_mode) for one in made]
    assert 0o644 == stat.S_IMODE((place / UNIT).stat().st_mode)


def test_a_written_file_is_read_back_with_its_time(tmp_path: Path) -> None:
    text = "a\r\nb\n\udcff"
    apply.write(tmp_path / UNIT, text)

    found = files.read(tmp_path / UNIT)

    assert text == found.text
    assert found.written is not None
    assert abs((datetime.now(UTC) - found.written).total_seconds()) < 60


def test_a_missing_file_has_no_text(tmp_path: Path) -> None:
    found = files.read(tmp_path / "no" / UNIT)

    assert (None, None) == (found.text, found.written)


def test_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RootlessError, match=f"cannot read `{tmp_path}`: is a directory"):
        files.read(tmp_path)


def test_a_link_is_replaced_and_its_target_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / UNIT).symlink_to(tmp_path / "mine")

    apply.write(tmp_path / UNIT, "new")

    assert not (tmp_path / UNIT).is_symlink()
    assert ("new", "mine") == ((tmp_path / UNIT).read_text(), (tmp_path / "mine").read_text())


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    (tmp_path / UNIT).write_text("old")

    message = message_of(f"""
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        apply.write(Path({str(tmp_path / UNIT)!r}), "new" * 1000)
    """)

    assert message == f"cannot write `{tmp_path / UNIT}`: file too large"
    assert "old" == (tmp_path / UNIT).read_text()
    assert [UNIT] == names(tmp_path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_directory_that_is_not_writable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "units").mkdir()
    os.chown(tmp_path / "units", OTHER, OTHER)
    (tmp_path / "units").chmod(0o555)

    message = message_of(f"""
        import os
        os.chdir({str(tmp_path)!r})
        os.setresuid({OTHER}, {OTHER}, {OTHER})
        apply.write(Path("units") / {UNIT!r}, "new")
    """)

    assert f"cannot write `units/{UNIT}`: permission denied" == message
    assert [] == names(tmp_path / "units")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_not_written_to(tmp_path: Path) -> None:
    os.chown(tmp_path, OTHER, OTHER)

    with pytest.raises(RootlessError) as caught:
        apply.write(tmp_path / UNIT, "new")

    assert f"cannot write to `{tmp_path}`: it belongs to uid {OTHER}" == caught.value.message
    assert caught.value.hint is not None
    assert "chown -R" not in caught.value.hint, (
        "the directory may be a link, or lie outside the home"
    )
    assert [] == names(tmp_path)


def test_a_file_instead_of_a_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "user").write_text("")

    with pytest.raises(RootlessError, match="cannot write"):
        apply.write(tmp_path / "user" / UNIT, "new")


def test_the_next_write_removes_files_of_a_killed_one(tmp_path: Path) -> None:
    body = f"""
        import os, signal
        from pathlib import Path
        from k3s_rootless.service.act import apply
        os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
        apply.write(Path({str(tmp_path / UNIT)!r}), "new")
    """
    (tmp_path / UNIT).write_text("old")
    with program(body) as killed:
        assert -signal.SIGKILL == killed.wait(PATIENCE)
    left = names(tmp_path)

    assert "old" == (tmp_path / UNIT).read_text()
    assert 2 == len(left)
    assert left[0].startswith(f".{UNIT}.")
    apply.write(tmp_path / UNIT, "new")
    assert [UNIT] == names(tmp_path)


def test_a_lock_is_waited_for_until_its_owner_exits(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    body = f"""
        import time
        from pathlib import Path
        from k3s_rootless.service.act import apply
        with apply.locked(Path({str(lock)!r}), lambda: None):
            print("held", flush=True)
            time.sleep(60)
    """
    with program(body) as holder:
        assert holder.stdout is not None
        assert b"held\n" == holder.stdout.readline()
        waited: list[float] = []

        def on_wait() -> None:
            waited.append(time.monotonic())
            holder.kill()

        with apply.locked(lock, on_wait):
            assert 1 == len(waited)
        with apply.locked(lock, on_wait):
            assert 1 == len(waited)


def test_a_lock_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    for path in (tmp_path / "no" / "lock", tmp_path / "link", tmp_path):
        with (
            pytest.raises(RootlessError, match="cannot open the lock"),
            apply.locked(path, lambda: None),
        ):
            pass


def test_a_lock_is_released_after_an_error(tmp_path: Path) -> None:
    with contextlib.suppress(RuntimeError), apply.locked(tmp_path / "lock", lambda: None):
        raise RuntimeError

    with apply.locked(tmp_path / "lock", lambda: pytest.fail("it is still held")):
        pass


def test_the_old_unit_is_kept_byte_for_byte(manager: UserManager, tmp_path: Path) -> None:
    old = b"[Service]\r\nExecStart=/bin/true # caf\xe9\n"
    (tmp_path / UNIT).write_bytes(old)

    apply.perform(
        steps.WriteUnit(tmp_path / UNIT, "new", "--force", tmp_path / "kept.bak"), manager
    )

    assert old == (tmp_path / "kept.bak").read_bytes()
    assert "new" == (tmp_path / UNIT).read_text()


def test_each_step_is_performed(manager: UserManager, fake: Session) -> None:
    planned: list[steps.Step] = [
        steps.WriteUnit(fake.units / UNIT, "[Service]\nExecStart=/bin/true\n", ""),
        steps.Reload(""),
        steps.Enable(UNIT, ""),
        steps.ResetFailed(UNIT, ""),
        steps.Start(UNIT, ""),
        steps.Restart(UNIT, ""),
        steps.Reexecute(""),
        steps.Stop(UNIT, ""),
        steps.Disable(UNIT, ""),
    ]
    manager.unit(UNIT)
    for step in planned:
        apply.perform(step, manager)

    assert [call[0] for call in fake.calls()] == [
        *("LoadUnit", "Reload", "EnableUnitFiles", "Reload", "ResetFailedUnit"),
        *("StartUnit", "RestartUnit", "Reexecute", "StopUnit", "DisableUnitFiles", "Reload"),
    ]


def test_a_drop_in_has_the_desired_mode_and_its_copy_no_wider_one(
    manager: UserManager, tmp_path: Path
) -> None:
    path = tmp_path / f"{UNIT}.d" / "50-k3s-rootless-environment.conf"
    apply.perform(steps.WriteDropIn(path, "secret", "", mode=0o600), manager)
    apply.perform(steps.WriteDropIn(path, "new", "", path.with_suffix(".bak"), mode=0o600), manager)

    assert [0o600, 0o600] == [
        stat.S_IMODE(one.stat().st_mode) for one in (path, path.with_suffix(".bak"))
    ]
    assert "secret" == path.with_suffix(".bak").read_text()


def test_a_mode_is_set_and_not_through_a_link(manager: UserManager, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "a")

    with pytest.raises(RootlessError, match="cannot set the mode"):
        apply.perform(steps.SetMode(tmp_path / "link", 0o600, ""), manager)
    assert 0o644 == stat.S_IMODE((tmp_path / "a").stat().st_mode)
    apply.perform(steps.SetMode(tmp_path / "a", 0o600, ""), manager)
    assert 0o600 == stat.S_IMODE((tmp_path / "a").stat().st_mode)


def test_only_files_of_killed_runs_are_removed(tmp_path: Path) -> None:
    left = [
        f".{UNIT}.abcdefgh.new",
        ".50-k3s-rootless-environment.conf.x.new",
        ".50-k3s-rootless-config.conf.1.bak.x.new",
    ]
    kept = [
        ".other.service.abcdefgh.new",
        "50-k3s-rootless-config.conf",
        "override.conf",
        f"{UNIT}.new",
    ]
    for name in (*left, *kept):
        (tmp_path / name).touch()

    apply.sweep(tmp_path)

    assert sorted(kept) == names(tmp_path)
    apply.sweep(tmp_path / "none")


def test_a_link_is_removed_but_not_its_target(manager: UserManager, tmp_path: Path) -> None:
    directory = tmp_path / f"{UNIT}.d"
    directory.mkdir()
    (tmp_path / "mine").write_text("mine")
    (directory / "a.conf").symlink_to(tmp_path / "mine")

    apply.perform(steps.Remove(directory / "a.conf", "", directory / "a.conf.bak"), manager)

    assert ["a.conf.bak"] == names(directory)
    assert "mine" == (tmp_path / "mine").read_text()
    (directory / "a.conf.bak").rename(directory / "b.conf")
    apply.perform(steps.Remove(directory / "b.conf", ""), manager)
    assert [] == names(directory), "the time of its last change shows that a file was removed"
    apply.perform(steps.Remove(directory / "b.conf", ""), manager)


def test_a_world_writable_directory_is_not_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)

    with pytest.raises(RootlessError, match="every user can write to it"):
        apply.write(tmp_path / UNIT, "new")
