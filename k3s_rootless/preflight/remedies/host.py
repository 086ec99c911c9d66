"""Remedies for failed checks: the smallest change that works, as commands to paste.

Files of an administrator's remedy get their own names in `*.d` directories, so that deleting them
undoes the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote

from k3s_rootless import host_change
from k3s_rootless.finding import FixableBy, Remedy
from k3s_rootless.host_change import Then
from k3s_rootless.preflight.remedies import apparmor_profile, drop_ins

CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")
_DELEGATE_CONF = "/etc/systemd/system/user@.service.d/60-k3s-rootless.conf"
_UNIFIED = host_change.BootArgument(("systemd.unified_cgroup_hierarchy=1",))
_LIMITS = ("user.", "fs.inotify.", "kernel.keys.")
"""Prefixes of sysctls for which a higher value is never worse."""
_SUBID_START = 100000
_SUBID_COUNT = 65536


def delegate() -> Remedy:
    """Return the remedy that configures what user managers delegate; cpuset needs systemd 244."""
    return Remedy(
        FixableBy.ADMINISTRATOR,
        "delegate all five cgroup controllers to user managers; then the user must log in again and"
        " run `k3s-rootless up`, or the host must be rebooted",
        (
            "sudo mkdir -p /etc/systemd/system/user@.service.d",
            f"printf '[Service]\\nDelegate={' '.join(CONTROLLERS)}\\n' | sudo tee {_DELEGATE_CONF}",
            "sudo systemctl daemon-reload",
        ),
        (
            host_change.File(
                _DELEGATE_CONF, f"[Service]\nDelegate={' '.join(CONTROLLERS)}\n", Then.SYSTEMD
            ),
        ),
    )


def realize() -> Remedy:
    """Return the remedy for a user@UID.service that was started before delegation was configured.

    Any new login makes systemd realize the new set (seen on systemd 252 and 257). `up` does the
    rest.
    """
    return Remedy(
        FixableBy.USER,
        "log in again (with ssh or on another console), so that systemd applies the configured"
        " delegation, and run `k3s-rootless up` there; a reboot works too",
        ("ssh localhost true", "k3s-rootless up"),
    )


def reexecute() -> Remedy:
    """Return the remedy for a running user manager that does not know its new controllers.

    The cgroup already has the controllers, so no root is needed (systemd 252, 257).
    """
    return Remedy(
        FixableBy.USER,
        "run `k3s-rootless up`, or re-execute systemd --user now, so that it sees the new cgroup"
        " controllers (running services are not affected)",
        ("systemctl --user daemon-reexec",),
    )


def kernel_controller(controller: str, offered: frozenset[str]) -> Remedy:
    """Return the remedy for a controller that the kernel does not offer on cgroup v2 at all."""
    # The firmware of a Raspberry Pi disables only memory. On a hybrid host, all controllers are
    # missing.
    if controller == "memory" and "cpu" in offered:
        return Remedy(
            FixableBy.ADMINISTRATOR,
            "enable the memory controller: add cgroup_enable=memory cgroup_memory=1 to the kernel"
            " command line (on a Raspberry Pi, to the line in /boot/firmware/cmdline.txt) and"
            " reboot",
            measures=(host_change.BootArgument(("cgroup_enable=memory", "cgroup_memory=1")),),
        )
    return Remedy(
        FixableBy.ADMINISTRATOR,
        "boot with cgroup v2 only, so that no v1 hierarchy uses the controller: add"
        " systemd.unified_cgroup_hierarchy=1 to the kernel command line and reboot",
        measures=(_UNIFIED,),
    )


def unified() -> Remedy:
    """Return the remedy for a host that mounts cgroup v1, alone or beside v2."""
    return Remedy(
        FixableBy.ADMINISTRATOR,
        "boot with cgroup v2 only: add systemd.unified_cgroup_hierarchy=1 to the kernel command"
        " line and reboot",
        (
            (
                "sudo grubby --update-kernel=ALL --args=systemd.unified_cgroup_hierarchy=1  # where"
                " grubby manages the boot loader"
            ),
        ),
        (_UNIFIED,),
    )


def sysctl(key: str, value: str) -> Remedy:
    """Return the remedy that sets a sysctl now and at each boot."""
    return Remedy(
        FixableBy.ADMINISTRATOR,
        f"set {key}={value}",
        (
            f"echo '{key}={value}' | sudo tee /etc/sysctl.d/60-k3s-rootless-{key}.conf",
            "sudo sysctl --system",
        ),
        (host_change.Sysctl(key, value, least=key.startswith(_LIMITS)),),
    )


_INSTALL = {
    "debian": "sudo apt-get install",
    "ubuntu": "sudo apt-get install",
    "fedora": "sudo dnf install",
    "rhel": "sudo dnf install",
    "suse": "sudo zypper install",
    "opensuse": "sudo zypper install",
    "arch": "sudo pacman -S",
}
_MAP_PACKAGES = {
    "debian": "uidmap",
    "ubuntu": "uidmap",
    "suse": "shadow",
    "opensuse": "shadow",
    "arch": "shadow",
}


def package(distribution: str) -> Remedy:
    """Return the remedy that installs the package with newuidmap and newgidmap."""
    text = (
        "install newuidmap and newgidmap (package uidmap on Debian and Ubuntu, shadow on openSUSE"
        " and Arch, otherwise shadow-utils)"
    )
    return Remedy(
        FixableBy.ADMINISTRATOR,
        text,
        _installing(distribution, _MAP_PACKAGES, "shadow-utils"),
        (host_change.Package("newuidmap"),),
    )


def fuse(distribution: str) -> Remedy:
    """Return the remedy that installs the package with mount.fuse3.

    containerd calls mount.fuse3, and K3s does not bundle it.
    """
    commands = _installing(distribution, {}, "fuse3")
    return Remedy(
        FixableBy.ADMINISTRATOR,
        "install mount.fuse3 (package fuse3)",
        commands,
        (host_change.Package("mount.fuse3"),),
    )


def _installing(distribution: str, names: Mapping[str, str], other: str) -> tuple[str, ...]:
    words = set(distribution.split())
    for name, command in _INSTALL.items():
        if name in words:
            return (f"{command} {names.get(name, other)}",)
    return ()


def apparmor(path: str) -> Remedy:
    """Return the remedy that lets only this program create user namespaces, by its own profile."""
    if not path.isprintable():
        return Remedy(
            FixableBy.USER,
            "move k3s to a path without control characters: AppArmor profiles cannot contain them",
        )
    file, lines = apparmor_profile.unconfined(path)
    return Remedy(
        FixableBy.ADMINISTRATOR,
        "load an AppArmor profile that allows only this k3s to create user namespaces",
        (
            f"printf '%s\\n' {' '.join(map(quote, lines))} | sudo tee {file}",
            f"sudo apparmor_parser -r {file}",
        ),
        (host_change.File(file, "\n".join(lines), Then.APPARMOR),),
    )


def user_namespaces() -> Remedy:
    """Return the remedy for user namespaces that are forbidden for an unknown reason.

    Only the administrator knows what forbids them.
    """
    return Remedy(
        FixableBy.ADMINISTRATOR,
        "allow user namespaces: a security module, or the container that this host runs in, forbids"
        " them",
        ("sysctl kernel.apparmor_restrict_unprivileged_userns kernel.unprivileged_userns_clone",),
    )


def modules(*names: str) -> Remedy:
    """Return the remedy that loads kernel modules now and at each boot."""
    noun = "module" if len(names) == 1 else "modules"
    return Remedy(
        FixableBy.ADMINISTRATOR,
        f"load the kernel {noun} {' and '.join(names)}, now and at each boot",
        (
            *(
                f"echo {name} | sudo tee /etc/modules-load.d/60-k3s-rootless-{name}.conf"
                for name in names
            ),
            f"sudo modprobe -a {' '.join(names)}",
        ),
        tuple(map(host_change.Module, names)),
    )


def setting(text: str, name: str, value: str) -> Remedy:
    """Return the remedy that sets a variable of K3s's unit in its own drop-in.

    `value` can contain systemd's specifiers (`%h`, `%u`).
    """
    if name.startswith("K3S_ROOTLESS_"):
        return Remedy(
            FixableBy.USER, text, (f"k3s-rootless env set {name}={value}", "k3s-rootless up")
        )
    return drop_ins.variable(text, name, f'Environment="{name}={value}"')


def setuid(path: str) -> Remedy:
    """Return the remedy that restores the privilege of newuidmap or newgidmap.

    Their package sets this privilege.
    """
    # The unit's PATH can name a directory of the user first: a setuid bit on a program there would
    # make its owner root.
    if path not in host_change.MODES:
        text = (
            f"remove {path}, or remove its directory from PATH in the unit: the setuid bit is"
            " allowed in system directories only"
        )
        return Remedy(FixableBy.ADMINISTRATOR, text)
    text = f"set the setuid bit of {path} again, or reinstall its package"
    return Remedy(
        FixableBy.ADMINISTRATOR, text, (f"sudo chmod u+s {path}",), (host_change.Mode(path),)
    )


def subids(user: str) -> Remedy:
    """Return the remedy that gives the user subordinate ids after all assigned ranges.

    usermod without ranges would assign ids a second time.
    """
    # Not %d: with it, mawk, the awk of Debian, prints no integer above 2147483647 (seen with mawk
    # 1.3.4 of Debian 12).
    behind = (
        f'awk -F: \'$2+$3 > n {{n = $2+$3}} END {{printf "%.0f", (n > {_SUBID_START} ? n :'
        f" {_SUBID_START})}}'"
    )
    span = f'"$first-$((first + {_SUBID_COUNT - 1}))"'
    return Remedy(
        FixableBy.ADMINISTRATOR,
        f"assign 65536 unused subordinate user and group ids to {user} in /etc/subuid and"
        " /etc/subgid",
        (
            f"first=$(cat /etc/subuid /etc/subgid | {behind})",
            f"sudo usermod --add-subuids {span} --add-subgids {span} {quote(user)}",
        ),
        (host_change.SubordinateIds(user),),
    )


def session() -> Remedy:
    """Return the remedy that creates a session that systemd knows; su and sudo create none."""
    return Remedy(
        FixableBy.USER,
        "log in as this user directly (with ssh, on a console, or with `machinectl shell`): su,"
        " sudo and cron do not create a session",
        ('ssh "$USER@localhost"',),
    )


def bus() -> Remedy:
    """Return the remedy that gives the user manager a bus."""
    return Remedy(
        FixableBy.ADMINISTRATOR,
        "install D-Bus for user sessions (package dbus-user-session on Debian and Ubuntu), and log"
        " in again",
        ("sudo apt-get install dbus-user-session",),
        (host_change.Package("dbus.socket"),),
    )


def runtime_directory(path: str, uid: int) -> Remedy:
    """Return the remedy for an XDG_RUNTIME_DIR that was inherited from another user."""
    return Remedy(
        FixableBy.USER,
        "log in as this user directly, or set XDG_RUNTIME_DIR: the environment was inherited from"
        f" the owner of {path}",
        (f"export XDG_RUNTIME_DIR=/run/user/{uid}",),
    )
