"""Tests of the administrator's script.

It must be valid shell for all values, and contain only what was requested.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k3s_rootless import host_change
from k3s_rootless.finding import Finding, FixableBy, Remedy, Verdict
from k3s_rootless.host_change import Measure, Then
from k3s_rootless.preflight.remedies import admin_script, nixos

HOST = admin_script.Host("alice", 1500, "debian", "1.2.3")
EVERY_KIND: tuple[Measure, ...] = (
    host_change.File(
        "/etc/systemd/system/user@.service.d/60-k3s-rootless.conf",
        "[Service]\nDelegate=cpu\n",
        Then.SYSTEMD,
    ),
    host_change.File("/etc/apparmor.d/k3s-rootless", "END\nprofile\n", Then.APPARMOR),
    host_change.File("/etc/udev/rules.d/60-k3s-rootless.rules", "#\n", Then.UDEV),
    host_change.Sysctl("net.ipv4.ip_forward", "1"),
    host_change.Sysctl("user.max_user_namespaces", "28633", least=True),
    host_change.Module("tun"),
    host_change.Package("newuidmap"),
    host_change.Package("mount.fuse3"),
    host_change.Package("dbus.socket"),
    host_change.SubordinateIds("alice"),
    host_change.Mode("/usr/bin/newuidmap"),
    host_change.PlainFile("/etc/subuid"),
    host_change.BootArgument(("cgroup_enable=memory", "cgroup_memory=1")),
    host_change.Linger("alice"),
)


def finding(
    *measures: Measure,
    text: str = "fix it",
    observed: str = "seen",
    commands: tuple[str, ...] = (),
) -> Finding:
    remedy = Remedy(FixableBy.ADMINISTRATOR, text, commands, measures)
    return Finding("a.check", "title", Verdict.FAIL, observed, "source", "reason", remedy)


def shellcheck(text: str) -> str:
    """Return the findings of shellcheck; skip the test if the program is missing."""
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(
        ["shellcheck", "--shell=sh", "-"], input=text, text=True, capture_output=True, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.thorough
@pytest.mark.parametrize(
    "distribution",
    ["debian", "ubuntu debian", "fedora", "rhel", "opensuse-tumbleweed suse", "arch", ""],
)
def test_shellcheck_reports_nothing(distribution: str) -> None:
    host = admin_script.Host("alice", 1500, distribution, "1.2.3")

    assert "" == shellcheck(admin_script.render([finding(one) for one in EVERY_KIND], host))


@pytest.mark.thorough
@pytest.mark.parametrize("kind", EVERY_KIND, ids=repr)
def test_a_script_for_one_change_is_complete(kind: Measure) -> None:
    assert "" == shellcheck(admin_script.render([finding(kind)], HOST))


def test_shellcheck_reports_nothing_for_undo_and_nixos() -> None:
    assert "" == shellcheck(admin_script.render_undo(HOST))
    assert "" == shellcheck(
        nixos.render(
            admin_script.administrator_remedies([finding(one) for one in EVERY_KIND]), "alice"
        )
    )


def test_manual_steps_are_printed() -> None:
    text = admin_script.render(
        [finding(text="mount it without nosuid", commands=("echo $HOME `id`",))], HOST
    )

    done = subprocess.run(
        ["sh", "-c", text.replace('"$(id -u)"', "0")], capture_output=True, text=True, check=False
    )

    assert 1 == done.returncode
    assert "manual step: mount it without nosuid\n    echo $HOME `id`\n" in done.stderr
    assert "" == shellcheck(text)


PRINTABLE = st.characters(
    exclude_categories=["Cs", "Cc", "Cf", "Co", "Cn", "Zl", "Zp", "Zs"]
) | st.just(" ")
ANYTHING = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


@pytest.mark.thorough
@settings(max_examples=200, deadline=None)
@given(
    st.text(PRINTABLE, min_size=1, max_size=30),
    st.text(PRINTABLE, max_size=30),
    st.text(ANYTHING, max_size=30),
)
def test_no_value_escapes_its_quotes(value: str, line: str, text: str) -> None:
    """The shell parses a hostile name, path or observation, but never executes its content."""
    hostile = [
        finding(
            host_change.SubordinateIds(value),
            text=f"{text}; exit 77",
            observed=f"\n exit 77 {text}",
        ),
        finding(
            host_change.File(f"/nowhere/{value}", f"{line}\nEND\nexit 77\n"), observed="$(exit 77)"
        ),
        finding(host_change.Mode("/tmp"), text=text, observed=text),
        finding(text=f"END\nexit 77\n{text}", commands=(f"{text}; exit 77",)),
    ]
    text = admin_script.render(hostile, admin_script.Host(value, 1500, "debian", "1.2.3"))

    # Every function that would change something is replaced by one that only shows its arguments.
    shown = "\n".join(
        f"{name}() {{ :; }}"
        for name in ("assign_ids", "record_change", "change_mode", "print_line")
    )
    body = text[text.index("do_steps() {") : text.index("main() {")]
    done = subprocess.run(
        [
            "sh",
            "-eu",
            "-c",
            f"{shown}\nwrite_file() {{ cat; }}\n{body}\ndo_steps; exit $exit_status",
        ],
        capture_output=True,
        check=False,
    )

    assert 1 == done.returncode, done.stderr
    assert f"{line}\nEND\nexit 77".encode() in done.stdout


@pytest.mark.parametrize(
    ("passwd", "subuid", "subgid", "free"),
    [
        ("root:x:0:0::/:\n", "", "", "100000"),
        ("", "bob:100000:65536\n", "", "165536"),
        ("", "bob:100000:65536\n", "carol:165536:65536\n", "231072"),
        ("", "bob:300000:65536\n", "", "100000"),
        ("", "bob:120000:1\ncarol:300000:65536\n", "", "120001"),
        ("eve:x:130000:130000::/:\n", "", "", "130001"),
        ("", "# a comment\nbroken line\nbob:x:y\n", "", "100000"),
        ("", "bob:100000:4294000000\n", "", "4294100000"),
    ],
)
def test_the_free_range_contains_no_id_in_use(
    tmp_path: Path, passwd: str, subuid: str, subgid: str, free: str
) -> None:
    for name, content in (("subuid", subuid), ("subgid", subgid), ("passwd", passwd)):
        (tmp_path / name).write_text(content)
    text = admin_script.render([finding(host_change.SubordinateIds("alice"))], HOST)
    function = text[text.index("free_ids() {") : text.index("# count_ids")].replace(
        "/etc/", f"{tmp_path}/"
    )
    function = function.replace("getent passwd", f"cat {tmp_path}/passwd").replace(
        "getent group", "true"
    )

    done = subprocess.run(
        ["sh", "-eu", "-c", f"{function}\nfree_ids"], capture_output=True, text=True, check=True
    )

    assert f"{free}\n" == done.stdout


def test_nixos_gets_lines_and_no_change() -> None:
    text = nixos.render(
        admin_script.administrator_remedies([finding(one) for one in EVERY_KIND]), 'al"ice${x}'
    )

    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True)

    assert 'boot.kernel.sysctl."net.ipv4.ip_forward" = 1;' in done.stdout
    assert 'users.users."al\\"ice\\${x}".autoSubUidGidRange = true;' in done.stdout


def test_nixos_gets_a_comment_for_each_manual_step() -> None:
    manual = finding(text="mount it without nosuid")
    steps = [finding(one) for one in EVERY_KIND]

    text = nixos.render(admin_script.administrator_remedies([*steps, manual]), "alice")

    comments = [line for line in text.splitlines() if line.startswith("# manual step: ")]
    assert [
        "# manual step: write the file /etc/apparmor.d/k3s-rootless, with these lines:",
        "# manual step: write the file /etc/udev/rules.d/60-k3s-rootless.rules, with these lines:",
        "# manual step: install the package that contains newuidmap",
        "# manual step: install the package that contains dbus.socket",
        "# manual step: chmod u+s /usr/bin/newuidmap",
        "# manual step: replace the symbolic link /etc/subuid with a file of the same content",
        "# manual step: mount it without nosuid",
    ] == comments
    assert "with these lines:\n#   END\n#   profile\n" in text


def test_nixos_gets_each_attribute_once() -> None:
    """Nix refuses a set that defines one attribute twice."""
    measures = (
        *EVERY_KIND,
        host_change.Module("tun"),
        host_change.Module("br_netfilter"),
        host_change.Sysctl("net.ipv4.ip_forward", "1"),
        host_change.Sysctl("net.ipv4.ping_group_range", "0 2147483647"),
        host_change.BootArgument(("systemd.unified_cgroup_hierarchy=1",)),
        host_change.File(
            "/etc/systemd/system/user@.service.d/60-files.conf",
            "[Service]\nLimitNOFILE=524288\n",
            Then.SYSTEMD,
        ),
    )

    text = nixos.render(
        admin_script.administrator_remedies([finding(one) for one in measures]), "alice"
    )

    lines = [line for line in text.splitlines() if line.endswith(";")]
    names = [line.partition(" = ")[0] for line in lines]
    assert sorted(set(names)) == sorted(names)
    assert 'boot.kernelModules = [ "tun" "br_netfilter" ];' in lines
    assert (
        'boot.kernelParams = [ "cgroup_enable=memory" "cgroup_memory=1"'
        ' "systemd.unified_cgroup_hierarchy=1" ];' in lines
    )
    assert 'boot.kernel.sysctl."net.ipv4.ping_group_range" = "0 2147483647";' in lines
    assert 'systemd.services."user@".serviceConfig.LimitNOFILE = "524288";' in lines
    assert "# manual step: chmod u+s /usr/bin/newuidmap\n" in text
