from __future__ import annotations

import os
import socket
from pathlib import Path

from k3s_rootless.linux import sockets
from k3s_rootless.linux.facts import Listener
from k3s_rootless.ports.sources import holders

UID = os.getuid()


def test_the_owner_of_our_own_socket_is_this_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        (mine,) = (one for one in sockets.listeners() if one.port == server.getsockname()[1])

        holder = holders.of([mine], uid=UID)[mine]

    assert (holder.uid, holder.pid) == (UID, os.getpid())
    assert holder.program == Path("/proc/self/comm").read_text().strip()


def test_for_other_users_only_the_user_is_known(tmp_path: Path) -> None:
    """Descriptors of other users cannot be read, so no processes are searched for them."""
    roots, unknown = Listener("tcp", "::", 80, 0, 5), Listener("tcp", "::", 81, 4_000_000, 6)

    found = holders.of([roots, unknown], uid=1, proc=tmp_path / "is not read")

    assert ("root", None, "") == (found[roots].user, found[roots].pid, found[roots].program)
    assert (4_000_000, "") == (found[unknown].uid, found[unknown].user)


def test_a_process_of_a_unit_has_the_name_of_the_unit(tmp_path: Path) -> None:
    process = tmp_path / "42"
    (process / "fd").mkdir(parents=True)
    (process / "fd" / "3").symlink_to("socket:[77]")
    (process / "comm").write_text("ev\x1b[2Jil\n")
    (process / "cgroup").write_text(
        "0::/user.slice/user-1.slice/user@1.service/app.slice/web.service/inner\n"
    )
    (tmp_path / "43").mkdir()
    held = Listener("tcp", "::", 80, UID, 77)

    holder = holders.of([held], uid=UID, proc=tmp_path)[held]

    assert (42, "ev\ufffd[2Jil", "web.service") == (holder.pid, holder.program, holder.unit)


def test_a_process_of_the_unit_is_recognised_by_its_control_group(tmp_path: Path) -> None:
    """A program with a similar unit name is not in K3s's control group."""
    unit = "/user.slice/user-1.slice/user@1.service/app.slice/k3s-rootless.service"
    groups = {42: f"{unit}/k3s_evac", 43: f"{unit}-2", 44: "/user.slice/k3s-rootless.service"}
    for pid, group in groups.items():
        process = tmp_path / str(pid)
        (process / "fd").mkdir(parents=True)
        (process / "fd" / "3").symlink_to(f"socket:[{pid}]")
        (process / "comm").write_text("slirp4netns\n")
        (process / "cgroup").write_text(f"9:name=systemd:/\n0::{group}\n")
    held = [Listener("tcp", "::", 8000 + pid, UID, pid) for pid in groups]

    found = holders.of(held, uid=UID, unit_group=unit, proc=tmp_path)

    assert [True, False, False] == [found[one].of_unit for one in held]
    assert not any(one.of_unit for one in holders.of(held, uid=UID, proc=tmp_path).values())
