"""What mends a failed check: the least that does, as commands that can be pasted.

Files for an administrator go under names of our own into `*.d` directories, so that undoing is deleting.
"""

from __future__ import annotations

from shlex import quote

from k3s_rootless.finding import Mender, Remedy

CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")
_DELEGATE_CONF = "/etc/systemd/system/user@.service.d/60-k3s-rootless.conf"
_SUBID_START = 100000
_SUBID_COUNT = 65536


def delegate() -> Remedy:
    """Configure what user managers may pass on; needs systemd 244 for cpuset."""
    return Remedy(
        Mender.ADMINISTRATOR,
        "let user managers pass all five controllers on; then log in once more and run `k3s-rootless up`, or reboot",
        (
            "sudo mkdir -p /etc/systemd/system/user@.service.d",
            f"printf '[Service]\\nDelegate={' '.join(CONTROLLERS)}\\n' | sudo tee {_DELEGATE_CONF}",
            "sudo systemctl daemon-reload",
        ),
    )


def realize() -> Remedy:
    """Delegation is configured, and the running user@UID.service was started before.

    Any new login makes systemd realize the new set (seen on systemd 252 and 257); `up` does what is left.
    """
    return Remedy(
        Mender.USER,
        "delegation is configured but not applied yet: log in once more (ssh, or another console) and run `k3s-rootless up` "
        "there; a reboot does it too",
        ("ssh localhost true", "k3s-rootless up"),
    )


def reexecute() -> Remedy:
    """The cgroup has the controllers and only the running user manager does not know: no root needed (systemd 252, 257)."""
    return Remedy(
        Mender.USER,
        "the running user manager has not noticed its new controllers; `k3s-rootless up` makes it look again, "
        "or do it now; running services are not touched",
        ("systemctl --user daemon-reexec",),
    )


def kernel_controller(controller: str, offered: frozenset[str]) -> Remedy:
    """The kernel does not offer a controller on cgroup v2 at all."""
    # The firmware of a Raspberry Pi disables memory alone; on a hybrid host all are away together.
    if controller == "memory" and "cpu" in offered:
        return Remedy(
            Mender.ADMINISTRATOR,
            "enable the memory controller on the kernel command line (on a Raspberry Pi the one line of "
            "/boot/firmware/cmdline.txt): cgroup_enable=memory cgroup_memory=1, and reboot",
        )
    return Remedy(
        Mender.ADMINISTRATOR,
        f"boot with cgroup v2 alone, so that no v1 hierarchy holds {controller}: systemd.unified_cgroup_hierarchy=1 "
        "on the kernel command line",
    )


def unified() -> Remedy:
    """The host mounts cgroup v1, alone or beside v2."""
    return Remedy(
        Mender.ADMINISTRATOR,
        "boot with cgroup v2 alone: add systemd.unified_cgroup_hierarchy=1 to the kernel command line and reboot",
        ("sudo grubby --update-kernel=ALL --args=systemd.unified_cgroup_hierarchy=1  # where grubby manages the boot loader",),
    )


def sysctl(key: str, value: str) -> Remedy:
    """Set a sysctl now and for later boots."""
    return Remedy(
        Mender.ADMINISTRATOR,
        f"set {key}={value}",
        (f"echo '{key}={value}' | sudo tee -a /etc/sysctl.d/60-k3s-rootless.conf", "sudo sysctl --system"),
    )


def package(distribution: str) -> Remedy:
    """Install the package that carries newuidmap and newgidmap."""
    words = set(distribution.split())
    commands = {
        "debian": "sudo apt-get install uidmap",
        "ubuntu": "sudo apt-get install uidmap",
        "fedora": "sudo dnf install shadow-utils",
        "rhel": "sudo dnf install shadow-utils",
        "suse": "sudo zypper install shadow",
        "opensuse": "sudo zypper install shadow",
        "arch": "sudo pacman -S shadow",
    }
    command = next((line for name, line in commands.items() if name in words), None)
    text = "install the package with newuidmap and newgidmap (uidmap, or shadow-utils)"
    return Remedy(Mender.ADMINISTRATOR, text, (command,) if command else ())


def setuid(path: str) -> Remedy:
    """Give newuidmap or newgidmap back the privilege that its package gave it."""
    return Remedy(
        Mender.ADMINISTRATOR,
        f"give {path} its privilege back, or reinstall its package",
        (f"sudo chown root:root {quote(path)}", f"sudo chmod u+s {quote(path)}"),
    )


def subids(user: str) -> Remedy:
    """Give the user ranges of subordinate ids, behind all that are given: usermod itself would give ids a second time."""
    behind = f"awk -F: '$2+$3 > n {{n = $2+$3}} END {{printf \"%d\", (n > {_SUBID_START} ? n : {_SUBID_START})}}'"
    span = f'"$first-$((first + {_SUBID_COUNT - 1}))"'
    return Remedy(
        Mender.ADMINISTRATOR,
        f"give {user} 65536 subordinate user and group ids that nobody else has in /etc/subuid and /etc/subgid",
        (
            f"first=$(cat /etc/subuid /etc/subgid | {behind})",
            f"sudo usermod --add-subuids {span} --add-subgids {span} {quote(user)}",
        ),
    )


def session() -> Remedy:
    """Get a session that systemd knows; su and sudo make none."""
    return Remedy(
        Mender.USER,
        "log in as this user directly (ssh, a console, or `machinectl shell`): su, sudo and cron make no session",
        ('ssh "$USER@localhost"',),
    )


def bus() -> Remedy:
    """Get the user manager a bus."""
    return Remedy(
        Mender.ADMINISTRATOR,
        "install the D-Bus user session (Debian, Ubuntu: dbus-user-session) and log in again",
        ("sudo apt-get install dbus-user-session",),
    )


def runtime_directory(path: str, uid: int) -> Remedy:
    """The environment was inherited from somebody else."""
    return Remedy(
        Mender.USER,
        f"{path} is not yours: the environment was inherited from another user. Log in directly, or name your own",
        (f"export XDG_RUNTIME_DIR=/run/user/{uid}",),
    )


def k3s(machine: str) -> Remedy:
    """Get a k3s binary of one's own; no root needed."""
    suffix = {"x86_64": "", "aarch64": "-arm64", "armv7l": "-armhf", "s390x": "-s390x"}.get(machine)
    if suffix is None:
        return Remedy(Mender.USER, f"put a k3s binary of release v1.22 or later, built for {machine}, into ~/.local/bin")
    url = f"https://github.com/k3s-io/k3s/releases/latest/download/k3s{suffix}"
    return Remedy(
        Mender.USER,
        "put a k3s binary of release v1.22 or later into ~/.local/bin",
        ("mkdir -p ~/.local/bin", f"curl -fLo ~/.local/bin/k3s {url}", "chmod 755 ~/.local/bin/k3s"),
    )
