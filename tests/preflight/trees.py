"""Small trees of files that the probes read: hosts of fifteen kinds.

`Host.provenance` names the source of the values. Values that come from no document or machine are
named under `assumed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from k3s_rootless.preflight.facts import CgroupMode


def write(path: Path, content: str | bytes, mode: int = 0o644) -> Path:
    """Write a file, and create the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def program(path: Path, mode: int = 0o755) -> Path:
    """Write a program that does nothing."""
    return write(path, "#!/bin/sh\n", mode)


_OF_POLICIES = (
    "ip_set",
    "ip_set_hash_ip",
    "ip_set_hash_net",
    "nfnetlink_log",
    "xt_NFLOG",
    "xt_set",
)
_MODULES = (
    "br_netfilter",
    "bridge",
    "fuse",
    "nf_conntrack",
    "nf_tables",
    "nft_compat",
    "tun",
    "veth",
    "vxlan",
)


@dataclass(frozen=True, slots=True)
class Host:
    """A kind of host as its installer leaves it, and the verdicts of `check` other than `pass`.

    `modules` can be loaded, and `loaded` are loaded. `label` is the AppArmor label that k3s would
    have. `delegated` are the controllers that a unit is given.
    """

    release: str
    kernel: str
    systemd: str
    provenance: str
    verdicts: Mapping[str, str]
    assumed: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    programs: tuple[str, ...] = ("usr/bin/newuidmap", "usr/bin/newgidmap", "usr/bin/mount.fuse3")
    subid: str = "alice:100000:65536\n"
    modules: tuple[str, ...] = (
        "br_netfilter",
        "bridge",
        "fuse",
        "nf_conntrack",
        "nf_tables",
        "nft_compat",
        "tun",
        "veth",
        "vxlan",
        *_OF_POLICIES,
    )
    module_tree: str = "lib/modules"
    loaded: tuple[str, ...] = ("overlay",)
    devices: tuple[str, ...] = ("dev/net/tun", "dev/fuse", "dev/kmsg")
    cgroup: CgroupMode = CgroupMode.UNIFIED
    offered: str = "cpuset cpu io memory hugetlb pids rdma misc"
    delegated: str = "cpu memory pids"
    label: str = ""
    booted: bool = True

    def plant(self, root: Path) -> Path:
        """Write the tree of this host."""
        settings = {
            "net/ipv4/ip_forward": "0\n",
            "user/max_user_namespaces": "63432\n",
            "kernel/hostname": "node\n",
        }
        tree = {
            "etc/os-release": self.release,
            "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
            "etc/resolv.conf": "nameserver 192.0.2.53\n",
            "etc/passwd": "root:x:0:0:::\nalice:x:1000:1000:::\nnobody:x:65534:65534:::\n",
            "proc/self/uid_map": "         0          0 4294967295\n",
            "proc/self/status": "NoNewPrivs:\t0\n",
            "proc/self/limits": (
                "Max open files            1024                 524288               files\n"
            ),
            "proc/self/mountinfo": (
                "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 0:5 / /proc rw - proc proc rw\n"
            ),
            "proc/meminfo": "MemTotal:  4000000 kB\nMemAvailable:  3000000 kB\n",
            "proc/modules": "".join(f"{name} 1 0 - Live 0x0\n" for name in self.loaded),
            **{f"proc/sys/{key}": value for key, value in settings.items()},
            "proc/sys/kernel/osrelease": f"{self.kernel}\n",
            "etc/subuid": self.subid,
            "etc/subgid": self.subid,
            **dict.fromkeys(self.devices, ""),
            **self.files,
        }
        if self.modules:
            built = f"{self.module_tree}/{self.kernel}"
            tree[f"{built}/modules.dep"] = "".join(
                f"kernel/net/{name}.ko.xz:\n" for name in self.modules
            )
            tree[f"{built}/modules.builtin"] = ""
        for path, content in tree.items():
            write(root / path, content)
        for path in self.programs:
            program(root / path, 0o4755 if "idmap" in path else 0o755)
        if self.booted:
            (root / "run/systemd/system").mkdir(parents=True, exist_ok=True)
        (root / "var/log/journal").mkdir(parents=True, exist_ok=True)
        return root


FORWARD = {"proc/sys/net/ipv4/ip_forward": "1\n"}
# systemd's sysctl.d/50-default.conf allows ping for all groups. Debian and Ubuntu keep the kernel's
# `1 0`.
_PING = {"proc/sys/net/ipv4/ping_group_range": "0\t2147483647\n"}
_DEBIAN_PING = {"proc/sys/net/ipv4/ping_group_range": "1\t0\n"}
_CLONE = {"proc/sys/kernel/unprivileged_userns_clone": "1\n"}
_UBUNTU_APPARMOR = {"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"}
_ENFORCING = {"sys/fs/selinux/enforce": "1"}
_STOCK = {
    "cgroup.delegation.cpuset": "fail",
    "cgroup.delegation.io": "warn",
    "kernel.br_netfilter": "warn",
}
_FORWARDING = {"sysctl.ip_forward": "fail"}
_ALL_DELEGATED = {
    f"cgroup.delegation.{name}": "fail" for name in ("cpu", "cpuset", "memory", "pids")
} | {"cgroup.delegation.io": "warn"}
_FEDORA = "ID=fedora\nVERSION_ID=42\n"

HOSTS: Mapping[str, Host] = {
    "Debian 12": Host(
        release='ID=debian\nVERSION_ID="12"\n',
        kernel="6.1.0-41-amd64",
        systemd="252.39-1~deb12u1",
        programs=(),
        files=_CLONE | _DEBIAN_PING,
        verdicts={
            **_STOCK,
            **_FORWARDING,
            "uidmap.newuidmap": "fail",
            "uidmap.newgidmap": "fail",
            "snapshotter.mount_fuse3": "fail",
            "sysctl.ping": "info",
        },
        provenance=(
            "uidmap and fuse3 are of priority optional; kernel and systemd of bookworm; what"
            " systemd 252 delegates"
        ),
        assumed="the exact numbers of kernel and systemd behind 6.1 and 252",
    ),
    "Debian 13": Host(
        release='ID=debian\nVERSION_ID="13"\n',
        kernel="6.12.57+deb13-amd64",
        systemd="257.13-1~deb13u1",
        programs=(),
        files=_CLONE | _DEBIAN_PING,
        verdicts={
            **_STOCK,
            **_FORWARDING,
            "uidmap.newuidmap": "fail",
            "uidmap.newgidmap": "fail",
            "snapshotter.mount_fuse3": "fail",
            "sysctl.ping": "info",
        },
        provenance=(
            "the machine of tests/vm, which adds uidmap, fuse3 and ip_forward; systemd 257"
            " delegates cpu memory pids"
        ),
    ),
    "Ubuntu 22.04": Host(
        release="ID=ubuntu\nID_LIKE=debian\nVERSION_ID=22.04\n",
        kernel="5.15.0-160-generic",
        systemd="249.11-0ubuntu3.16",
        delegated="memory pids",
        files=_CLONE | _DEBIAN_PING,
        verdicts={**_STOCK, **_FORWARDING, "cgroup.delegation.cpu": "fail", "sysctl.ping": "info"},
        provenance=(
            "kernel 5.15 and systemd 249 of jammy; systemd before 252 delegates memory and pids"
            " (rootlesscontaine.rs)"
        ),
        assumed=(
            "that uidmap and fuse3 are there, as on the server image; the cloud image lacks uidmap"
        ),
    ),
    "Ubuntu 24.04": Host(
        release="ID=ubuntu\nID_LIKE=debian\nVERSION_ID=24.04\n",
        kernel="6.8.0-88-generic",
        systemd="255.4-1ubuntu8",
        label="unconfined",
        files=_CLONE | _DEBIAN_PING | _UBUNTU_APPARMOR,
        verdicts={**_STOCK, **_FORWARDING, "userns.apparmor": "fail", "sysctl.ping": "info"},
        provenance=(
            "K3s #12711 for AppArmor and the error of K3s; kernel 6.8 and systemd 255 of noble"
        ),
        assumed="that uidmap and fuse3 are there",
    ),
    "Ubuntu 24.04, with a profile for k3s": Host(
        release="ID=ubuntu\nID_LIKE=debian\nVERSION_ID=24.04\n",
        kernel="6.8.0-88-generic",
        systemd="255.4-1ubuntu8",
        label="k3s-rootless (unconfined)",
        files=_CLONE | _DEBIAN_PING | _UBUNTU_APPARMOR | FORWARD,
        delegated="cpuset cpu io memory pids",
        loaded=("overlay", "br_netfilter"),
        verdicts={"sysctl.ping": "info"},
        provenance=(
            "the profile of the remedy, as apparmor.d(5) and aa_splitcon(3) spell its label; the"
            " rest as above"
        ),
    ),
    "Ubuntu 26.04": Host(
        release="ID=ubuntu\nID_LIKE=debian\nVERSION_ID=26.04\n",
        kernel="7.0.0-10-generic",
        systemd="259-1ubuntu1",
        label="unconfined",
        files=_CLONE | _DEBIAN_PING | _UBUNTU_APPARMOR,
        verdicts={**_STOCK, **_FORWARDING, "userns.apparmor": "fail", "sysctl.ping": "info"},
        provenance="as Ubuntu 24.04, whose restriction stayed",
        assumed="the numbers of kernel and systemd; that nothing else changed since 24.04",
    ),
    "Fedora": Host(
        release=_FEDORA,
        kernel="6.17.8-200.fc42.x86_64",
        systemd="257.10-1.fc42",
        files=_PING | _ENFORCING,
        delegated="cpu io memory pids",
        verdicts={
            "cgroup.delegation.cpuset": "fail",
            "kernel.br_netfilter": "warn",
            **_FORWARDING,
            "security.selinux": "info",
            "net.firewall": "info",
        },
        provenance=(
            "k3d #1082 for delegation (cpu io memory pids), SELinux enforces and firewalld runs by"
            " default"
        ),
        assumed=(
            "the exact kernel; newuidmap has the setuid bit here, where Fedora gives it a file"
            " capability"
        ),
    ),
    "RHEL 9": Host(
        release='ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.6"\n',
        kernel="5.14.0-570.el9.x86_64",
        systemd="252-51.el9",
        files=_PING | _ENFORCING,
        modules=(
            "br_netfilter",
            "bridge",
            "fuse",
            "ip_tables",
            "nf_conntrack",
            "nf_tables",
            "nft_compat",
            "tun",
            "veth",
            "vxlan",
            *_OF_POLICIES,
        ),
        verdicts={
            **_STOCK,
            **_FORWARDING,
            "security.selinux": "info",
            "net.firewall": "info",
            "net.nm_cloud_setup": "info",
        },
        provenance=(
            "kernel 5.14, systemd 252; ip_tables is not loaded there (K3s #2942); firewalld;"
            " nm-cloud-setup"
        ),
        assumed="what systemd 252 of RHEL delegates is what systemd itself does",
    ),
    "openSUSE": Host(
        release='ID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.6"\n',
        kernel="6.4.0-150600.23-default",
        systemd="254.27+suse",
        files=_PING,
        subid="",
        verdicts={
            **_STOCK,
            **_FORWARDING,
            "subid.subuid": "fail",
            "subid.subgid": "fail",
            "net.firewall": "info",
        },
        provenance="kind #2916 for delegation; firewalld runs by default",
        assumed="that useradd gives no subordinate ids there",
    ),
    "Arch": Host(
        release="ID=arch\n",
        kernel="6.17.8-arch1-1",
        systemd="258.2-2-arch",
        files={**_PING, "etc/hosts": "# Static table lookup for hostnames.\n"},
        module_tree="usr/lib/modules",
        programs=("usr/bin/newuidmap", "usr/bin/newgidmap"),
        verdicts={
            **_STOCK,
            **_FORWARDING,
            "net.localhost": "warn",
            "snapshotter.mount_fuse3": "fail",
        },
        provenance=(
            "its /etc/hosts is empty (K3s #5767, nss-myhostname); newuidmap comes with shadow,"
            " mount.fuse3 with fuse3"
        ),
        assumed=(
            "the numbers of kernel and systemd; that alice was made by useradd, which gives ids"
        ),
    ),
    "NixOS": Host(
        release="ID=nixos\n",
        kernel="6.12.58",
        systemd="258.2",
        files=_PING,
        programs=("run/wrappers/bin/newuidmap", "run/wrappers/bin/newgidmap"),
        module_tree="run/booted-system/kernel-modules/lib/modules",
        verdicts={**_STOCK, **_FORWARDING, "snapshotter.mount_fuse3": "fail"},
        provenance=(
            "nixpkgs #385044 for delegation; newuidmap in /run/wrappers/bin, modules in"
            " /run/booted-system"
        ),
        assumed=(
            "the numbers of kernel and systemd; subordinate ids by"
            " users.users.alice.autoSubUidGidRange"
        ),
    ),
    "Alpine": Host(
        release="ID=alpine\nVERSION_ID=3.22.2\n",
        kernel="6.12.58-0-lts",
        systemd="",
        booted=False,
        files={"proc/sys/net/ipv4/ping_group_range": "999\t59999\n"},
        programs=(),
        subid="",
        verdicts={
            **_STOCK,
            **_FORWARDING,
            "systemd.booted": "fail",
            "systemd.user": "fail",
            "systemd.version": "unknown",
            "uidmap.newuidmap": "fail",
            "uidmap.newgidmap": "fail",
            "subid.subuid": "fail",
            "subid.subgid": "fail",
            "snapshotter.mount_fuse3": "fail",
        },
        provenance=(
            "its init is OpenRC; newuidmap comes with shadow-uidmap, mount.fuse3 with fuse3;"
            " /etc/subuid is empty"
        ),
        assumed=(
            "the numbers of kernel and release; what it would delegate, since it has no user"
            " manager; its groups for ping"
        ),
    ),
    "Raspberry Pi OS": Host(
        release='ID=debian\nVERSION_ID="12"\n',
        kernel="6.12.47+rpt-rpi-v8",
        systemd="252.39-1~deb12u1",
        offered="cpuset cpu io pids",
        delegated="cpu pids",
        files=_DEBIAN_PING,
        modules=(
            "br_netfilter",
            "bridge",
            "fuse",
            "nf_conntrack",
            "nf_tables",
            "nft_compat",
            "tun",
            "veth",
            *_OF_POLICIES,
        ),
        verdicts={
            **_STOCK,
            **_FORWARDING,
            "cgroup.delegation.memory": "fail",
            "kernel.vxlan": "fail",
            "sysctl.ping": "info",
        },
        provenance=(
            "K3s #2067 for the memory controller, which the firmware disables; K3s's documentation"
            " for vxlan"
        ),
        assumed=(
            "that vxlan is missing there as it is on Ubuntu for Raspberry Pi; that uidmap and fuse3"
            " were installed"
        ),
    ),
    "WSL2": Host(
        release="ID=ubuntu\nID_LIKE=debian\nVERSION_ID=24.04\n",
        kernel="5.15.167.4-microsoft-standard-WSL2",
        systemd="255.4-1ubuntu8",
        cgroup=CgroupMode.HYBRID,
        offered="",
        delegated="",
        modules=(),
        loaded=(
            "br_netfilter",
            "bridge",
            "fuse",
            "nf_conntrack",
            "nf_tables",
            "nft_compat",
            "overlay",
            "tun",
            "veth",
            "vxlan",
            *_OF_POLICIES,
        ),
        files={"proc/sys/kernel/hostname": "DESKTOP-1A2B3C\n"} | _DEBIAN_PING,
        verdicts={
            **_ALL_DELEGATED,
            **_FORWARDING,
            "cgroup.v2": "fail",
            "host.container": "info",
            "sysctl.ping": "info",
        },
        provenance=(
            "microsoft/WSL #6662 for cgroup v1 beside v2; kernel names contain microsoft,"
            " drivers built in"
        ),
        assumed="which drivers are built in",
    ),
    "LXC": Host(
        release='ID=debian\nVERSION_ID="13"\n',
        kernel="6.8.12-16-pve",
        systemd="257.13-1~deb13u1",
        files={
            "proc/self/uid_map": "         0     100000      65536\n",
            "run/systemd/container": "lxc\n",
            **FORWARD,
            **_DEBIAN_PING,
        },
        devices=(),
        modules=(),
        loaded=(
            "br_netfilter",
            "bridge",
            "nf_conntrack",
            "nf_tables",
            "nft_compat",
            "overlay",
            "veth",
            *_OF_POLICIES,
        ),
        delegated="cpuset cpu io memory pids",
        verdicts={
            "uidmap.nested": "fail",
            "device.tun": "fail",
            "device.fuse": "fail",
            "device.kmsg": "fail",
            "host.container": "info",
            "kernel.vxlan": "unknown",
            "sysctl.ping": "info",
        },
        provenance=(
            "an unprivileged container of Proxmox: 65536 ids, no tun, fuse, kmsg (K3s #4249), no"
            " /lib/modules"
        ),
        assumed="that the host has delegated everything",
    ),
    "hybrid cgroups": Host(
        release='ID=debian\nVERSION_ID="13"\n',
        kernel="6.18.44",
        systemd="257.13-1~deb13u1",
        cgroup=CgroupMode.HYBRID,
        offered="",
        delegated="",
        files=FORWARD | _PING,
        loaded=("overlay", "br_netfilter"),
        verdicts={**_ALL_DELEGATED, "cgroup.v2": "fail"},
        provenance=(
            "a host with v1 hierarchies beside v2, whose cgroup.controllers is empty: the host of"
            " the lab"
        ),
    ),
}
_SERVICES = {
    "Fedora": ("firewalld",),
    "RHEL 9": ("firewalld", "nm-cloud-setup"),
    "openSUSE": ("firewalld",),
}


def plant(name: str, root: Path) -> Path:
    """Write the tree of one of the hosts, and its running services."""
    for service in _SERVICES.get(name, ()):
        (root / f"sys/fs/cgroup/system.slice/{service}.service").mkdir(parents=True)
    return HOSTS[name].plant(root)
