from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from k3s_rootless import host_change
from k3s_rootless.finding import FixableBy, Remedy
from k3s_rootless.preflight.remedies import host, k3s_binary
from tests.strategies import FIVE


def performed(remedy: Remedy, etc: Path) -> str:
    """Run the commands of a remedy on files below `etc`, with a `sudo` that only prints."""
    script = "\n".join(["sudo() { printf '%s\\n' \"$*\"; }", *remedy.commands]).replace(
        "/etc/", f"{etc}/"
    )
    return subprocess.run(
        ["sh", "-euc", script], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize(
    ("subuid", "subgid", "span"),
    [
        ("", "", "100000-165535"),
        ("# no user yet\n", "junk\n", "100000-165535"),
        ("bob:100000:65536\n", "bob:100000:65536\n", "165536-231071"),
        ("bob:100000:65536\ncarol:165536:65536\n", "bob:100000:65536\n", "231072-296607"),
        ("bob:100000:65536\n", "bob:300000:65536\n", "365536-431071"),
        ("bob:1:10\n", "", "100000-165535"),
        ("bob:2000000000:1000000000\n", "", "3000000000-3000065535"),
    ],
    ids=["none", "no ranges", "one", "two", "further in subgid", "low", "huge"],
)
def test_new_subordinate_ids_follow_all_assigned_ranges(
    tmp_path: Path, subuid: str, subgid: str, span: str
) -> None:
    """Two users with the same ids could write each other's files."""
    (tmp_path / "subuid").write_text(subuid)
    (tmp_path / "subgid").write_text(subgid)

    assert f"usermod --add-subuids {span} --add-subgids {span} alice" == performed(
        host.subids("alice"), tmp_path
    )


def test_the_names_of_users_are_not_commands(tmp_path: Path) -> None:
    for name in ("subuid", "subgid"):
        (tmp_path / name).write_text("")

    assert performed(host.subids("AD\\o'brien; echo pwned"), tmp_path).endswith(
        " AD\\o'brien; echo pwned"
    )


@pytest.mark.parametrize("path", ["/usr/bin/newuidmap", "/usr/local/bin/newgidmap"])
def test_a_system_path_gets_its_setuid_bit_back(tmp_path: Path, path: str) -> None:
    assert f"chmod u+s {path}" == performed(host.setuid(path), tmp_path)
    assert (host_change.Mode(path),) == host.setuid(path).measures


@pytest.mark.parametrize(
    "path", ["/home/alice/bin/newuidmap", "/opt/it's mine/$(x)", "/usr/bin/../../tmp/newuidmap", ""]
)
def test_no_other_path_gets_a_setuid_bit(path: str) -> None:
    """The unit's PATH can name a directory of the user.

    A setuid bit there would make the user root.
    """
    assert ((), ()) == (host.setuid(path).commands, host.setuid(path).measures)


def test_a_setting_gets_its_own_drop_in_and_keeps_specifiers(tmp_path: Path) -> None:
    remedy = host.setting("x", "K3S_CONFIG_FILE", "%h/my own.yaml")
    script = "\n".join(remedy.commands[:2]).replace("~", str(tmp_path))
    subprocess.run(["sh", "-euc", script], check=True)

    (written,) = tmp_path.rglob("*.conf")
    assert Path(
        ".config/systemd/user/k3s-rootless.service.d/60-k3s-config-file.conf"
    ) == written.relative_to(tmp_path)
    assert '[Service]\nEnvironment="K3S_CONFIG_FILE=%h/my own.yaml"\n' == written.read_text()


def test_the_profile_is_for_one_path_and_escapes_its_special_characters(tmp_path: Path) -> None:
    text = performed(host.apparmor("/opt/it's {mine}/k3s*"), tmp_path)
    script = host.apparmor("/opt/it's {mine}/k3s*").commands[0].partition(" | sudo tee")[0]
    profile = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=True
    ).stdout

    assert text.splitlines()[-1].startswith(
        f"apparmor_parser -r {tmp_path}/apparmor.d/k3s-rootless"
    )
    assert ' "/opt/it\'s \\{mine\\}/k3s\\*" flags=(unconfined) {' in profile
    assert "  userns,\n" in profile


def test_delegation_names_all_five_controllers() -> None:
    assert frozenset(host.CONTROLLERS) == FIVE
    assert f"Delegate={' '.join(host.CONTROLLERS)}" in "\n".join(host.delegate().commands)


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        ("debian", "sudo apt-get install uidmap"),
        ("linuxmint ubuntu debian", "sudo apt-get install uidmap"),
        ("fedora", "sudo dnf install shadow-utils"),
        ("rocky rhel centos fedora", "sudo dnf install shadow-utils"),
        ("opensuse-tumbleweed opensuse suse", "sudo zypper install shadow"),
        ("endeavouros arch", "sudo pacman -S shadow"),
    ],
)
def test_the_package_is_that_of_the_distribution_or_its_parent(
    distribution: str, expected: str
) -> None:
    assert (expected,) == host.package(distribution).commands


@pytest.mark.parametrize("distribution", ["", "nixos", "debianish"])
def test_an_unknown_distribution_gets_a_text_and_no_command(distribution: str) -> None:
    assert () == host.package(distribution).commands
    assert host.package(distribution).text


@pytest.mark.parametrize(
    ("machine", "file"),
    [("x86_64", "k3s"), ("aarch64", "k3s-arm64"), ("armv7l", "k3s-armhf"), ("s390x", "k3s-s390x")],
)
def test_each_machine_gets_the_k3s_that_is_built_for_it(machine: str, file: str) -> None:
    assert k3s_binary.missing(machine).commands[1].endswith(f"/download/{file}")


@pytest.mark.parametrize("machine", ["riscv64", "ppc64le", "i686", ""])
def test_no_machine_gets_a_k3s_that_it_cannot_run(machine: str) -> None:
    assert () == k3s_binary.missing(machine).commands


@pytest.mark.parametrize(
    ("controller", "offered", "expected"),
    [
        ("memory", FIVE - {"memory"}, "cgroup_enable=memory"),
        ("memory", frozenset(), "systemd.unified_cgroup_hierarchy=1"),
        ("cpuset", FIVE - {"cpuset"}, "systemd.unified_cgroup_hierarchy=1"),
    ],
    ids=["Raspberry Pi", "hybrid host", "bound to version 1"],
)
def test_a_controller_that_the_kernel_lacks_is_enabled_at_boot(
    controller: str, offered: frozenset[str], expected: str
) -> None:
    found = host.kernel_controller(controller, offered)

    assert (FixableBy.ADMINISTRATOR, True) == (found.fixable_by, expected in found.text)
