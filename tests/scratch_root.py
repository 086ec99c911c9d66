"""Separate root file system in a directory, where root runs a script without changing the host.

The script runs in a chroot inside its own mount namespace. Shell, coreutils, awk and dpkg are those
of the host, mounted read-only. Stand-ins replace programs that would change a kernel or a running
system: they change files of the tree and record their arguments. The shell of busybox runs its
built-in `sysctl` and `modprobe` instead of those of the tree. It gets no libraries and no kernel
modules of the host.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can make a root file system with several owners"
)
ALICE = 1500
SYSTEM = "/usr/sbin:/usr/bin"
TOOLS = (
    *(
        "awk",
        "cat",
        "chmod",
        "chown",
        "cmp",
        "cp",
        "cut",
        "find",
        "getent",
        "grep",
        "id",
        "ln",
        "mkdir",
        "mv",
        "readlink",
    ),
    *(
        "rm",
        "rmdir",
        "sed",
        "sha256sum",
        "sort",
        "stat",
        "tail",
        "tar",
        "tr",
        "dpkg",
        "dpkg-deb",
        "dpkg-query",
        "dpkg-split",
    ),
    *("diff", "env", "head", "touch", "true"),
)
_DIRECTORIES = (
    *(
        "host/usr",
        "usr/bin",
        "usr/local/bin",
        "boot",
        "home/alice",
        "root",
        "tmp",
        "dev/net",
        "proc",
        "sys/module",
    ),
    *(
        "etc/sysctl.d",
        "etc/modules-load.d",
        "etc/apparmor.d",
        "etc/udev/rules.d",
        "etc/systemd/system",
    ),
    *(
        "sys/kernel/security/apparmor",
        "var/lib/systemd/linger",
        "var/lib/dpkg/info",
        "var/lib/dpkg/updates",
    ),
)
_STAND_INS = {
    "sysctl": (
        """
case $1 in
    -n) cat "/proc/sys.$2" ;;
    *) last=; for last; do :; done; printf '%s\\n' "${last#*=}" >"/proc/sys.${last%%=*}" ;;
esac"""
    ),
    "modprobe": 'case $1 in -r) rmdir "/sys/module/$2" ;; *) mkdir "/sys/module/$1" ;; esac',
    "systemctl": ":",
    "udevadm": ":",
    "loginctl": (
        """
IFS= read -r flag </root/linger-flag
case $1 in
    enable-linger) : >"/var/lib/systemd/linger/$flag" ;;
    disable-linger) rm -f "/var/lib/systemd/linger/$flag" ;;
esac"""
    ),
    "apparmor_parser": (
        """
loaded=/sys/kernel/security/apparmor/profiles
case $1 in
    -r)
        line="$(sed -n 's/^profile \\([^ ]*\\) .*/\\1/p' "$2") (unconfined)"
        grep -qxF "$line" $loaded || printf '%s\\n' "$line" >>$loaded
        ;;
    -R) name=$(sed -n 's/^profile \\([^ ]*\\) .*/\\1/p' ${2+"$2"}) && \
grep -qxF "$name (unconfined)" $loaded &&
        { grep -vxF "$name (unconfined)" $loaded >$loaded.new || :; } && \
cat $loaded.new >$loaded && rm $loaded.new ;;
esac"""
    ),
}


@dataclass(frozen=True, slots=True)
class ScratchRoot:
    """Directory of the tree, and the shell that runs scripts in it: `dash`, `bash` or `busybox`."""

    path: Path
    shell: str

    def run(self, script: str, *args: str) -> subprocess.CompletedProcess[str]:
        """Run a script as root in the tree, in a new session."""
        (self.path / "root/script").write_text(script, "utf-8")
        inside = (
            'mount --bind /usr "$0/host/usr" && mount -o remount,bind,ro "$0/host/usr" && '
            'mount --bind /dev/null "$0/dev/null" && exec chroot "$0" /usr/bin/sh /root/script "$@"'
        )
        command = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            inside,
            str(self.path),
            *args,
        ]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )

    def stand_in(self, name: str, text: str) -> None:
        """Replace a program of the host by a program of the tree."""
        program = self.path / "usr/bin" / name
        program.unlink(missing_ok=True)
        program.write_text(f"#!/bin/sh\nprintf '%s\\n' \"{name} $*\" >>/calls\n{text}\n")
        program.chmod(0o755)

    def state(self) -> dict[str, tuple[str, int, int, bytes]]:
        """Return mode, owner, group and content of every file that a script may change."""
        found = {}
        for directory, folders, files in os.walk(self.path):
            if Path(directory) == self.path:
                folders[:] = [one for one in folders if one not in {"host", "usr", "root"}]
            for one in (*folders, *files):
                path = Path(directory, one)
                if one != "calls":
                    found[str(path.relative_to(self.path))] = _seen(path)
        for one in ("usr/bin/newuidmap", "usr/bin/newgidmap"):
            found[one] = _seen(self.path / one)
        return found

    def read(self, name: str) -> str:
        """Return the text of a file in the tree."""
        return (self.path / name).read_text("utf-8")


def _seen(path: Path) -> tuple[str, int, int, bytes]:
    status = path.lstat()
    content = b""
    if stat.S_ISLNK(status.st_mode):
        content = os.fsencode(path.readlink())
    elif stat.S_ISREG(status.st_mode):
        content = path.read_bytes()
    return stat.filemode(status.st_mode), status.st_uid, status.st_gid, content


def build(path: Path, shell: str) -> ScratchRoot:
    """Build the tree; skip the test if the host does not have the shell."""
    found = shutil.which(shell, path=SYSTEM)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    for name in _DIRECTORIES:
        (path / name).mkdir(parents=True)
    for name in ("lib", "lib64", "share") if shell != "busybox" else ():
        (path / "usr" / name).symlink_to(f"/host/usr/{name}")
    for name in ("bin", "sbin", "lib", "lib64"):
        (path / name).symlink_to(f"usr/{name}")
    (path / "usr/sbin").symlink_to("bin")
    (path / "usr/bin/sh").symlink_to(f"/host/usr/bin/{shell}")
    for name in TOOLS:
        _link_tool(path, name, shell)
    for name, content in (
        ("etc/passwd", "root:x:0:0::/root:/bin/sh\nalice:x:1500:1500::/home/alice:/bin/sh\n"),
        ("etc/group", "root:x:0:\nalice:x:1500:\n"),
        ("etc/subuid", "bob:100000:65536\n"),
        ("etc/subgid", "bob:100000:65536\n"),
        ("proc/cmdline", "quiet\n"),
        ("root/linger-flag", "alice\n"),
        ("sys/kernel/security/apparmor/profiles", ""),
        ("proc/sys.net.ipv4.ip_forward", "0\n"),
        ("proc/sys.user.max_user_namespaces", "100\n"),
        ("var/lib/dpkg/status", ""),
        ("dev/null", ""),
        ("dev/net/tun", ""),
        ("boot/cmdline.txt", "console=tty1 quiet\n"),
        ("usr/bin/newuidmap", ""),
        ("usr/bin/newgidmap", ""),
    ):
        (path / name).write_text(content)
    (path / "usr/bin/newuidmap").chmod(0o755)
    (path / "usr/bin/newgidmap").chmod(0o755)
    (path / "dev/net/tun").chmod(0o600)
    path.chmod(0o755)
    os.chown(path / "home/alice", ALICE, ALICE)
    tree = ScratchRoot(path, shell)
    for name, text in _STAND_INS.items():
        tree.stand_in(name, text.lstrip("\n"))
    if shell == "busybox":
        tree.stand_in("getent", 'cat "/etc/$1"')
    return tree


def _link_tool(path: Path, name: str, shell: str) -> None:
    applets = (
        subprocess.run([shell, "--list"], capture_output=True, text=True, check=True).stdout
        if shell == "busybox"
        else ""
    )
    if name in applets.split():
        (path / "usr/bin" / name).symlink_to("/host/usr/bin/busybox")
    elif found := shutil.which(name, path=SYSTEM):
        (path / "usr/bin" / name).symlink_to(f"/host{Path(found).resolve()}")
