"""Real faults of a host: the check that reports each, the effect on K3s, and the fix.

Each fault is injected alone into a healthy host; `tests.e2e.injecting` follows it to its end.
"""

from __future__ import annotations

from tests.e2e import faults_of_settings
from tests.e2e.causes import (
    CONFIG,
    NO_PACKAGES,
    both,
    drop_in,
    no_drop_in,
    nothing,
    order,
    root,
    sysctl,
    user,
)
from tests.e2e.conftest import UNIT
from tests.e2e.fault import (
    DATA,
    LAB,
    VMS,
    Dies,
    Fault,
    Lacks,
    Refused,
    Unseen,
    Waits,
    freed,
    log_in,
    mounted,
    program,
    restored,
)
from tests.e2e.ways import hold
from tests.machine import UID, USER

SUBIDS = root(
    f"rm -f /etc/subuid /etc/subgid; echo {USER}:100000:65536 | tee /etc/subuid > /etc/subgid"
)
TUN = root(
    "rm -f /etc/udev/rules.d/*k3s-rootless*; test -e /dev/net/tun || mknod /dev/net/tun c 10 200;"
    " chmod 666 /dev/net/tun"
)
NO_RANGES = "No subuid ranges found"
NOT_MAPPED = "failed to setup UID/GID map"
FUSE = "snapshotter cannot be enabled"
IN_USE = "error syncing '_all_'"
MASK = f"mv {UNIT} {UNIT}.away; systemctl --user mask {UNIT.name}"
UNMASK = f"systemctl --user unmask {UNIT.name}; rm -f {UNIT}.away; systemctl --user daemon-reload"
ENDED = "which program may be ended, its owner has to say"
NO_PODS = "no pods are run by the stand-in"
EDITED = "the flag is put behind the others of the unit in an editor"
LISTENER = (
    "systemd-run --quiet --unit=far --collect /usr/bin/python3 -m http.server --bind 10.41.7.1 8941"
)
FAR = "/usr/bin/python3 -c 'import socket; socket.create_connection((\"10.41.7.1\", 8941), 2)'"
ALL = ("cpu", "cpuset", "io", "memory", "pids")


def _maps() -> tuple[Fault, ...]:
    no_newuidmap, newuidmap = program("newuidmap")
    no_newgidmap, newgidmap = program("newgidmap")
    nosuid = (
        "mount --bind /usr/bin/newuidmap /usr/bin/newuidmap; mount -o remount,bind,nosuid"
        " /usr/bin/newuidmap"
    )
    suid = "umount /usr/bin/newuidmap 2>/dev/null || true"
    return (
        Fault(
            "newuidmap-missing",
            "newuidmap is not installed",
            "uidmap.newuidmap",
            "administrator",
            no_newuidmap,
            newuidmap,
            Dies("newuidmap"),
            by_hand=NO_PACKAGES,
            hand=newuidmap,
        ),
        Fault(
            "newgidmap-missing",
            "newgidmap is not installed",
            "uidmap.newgidmap",
            "administrator",
            no_newgidmap,
            newgidmap,
            Dies("newgidmap"),
            by_hand=NO_PACKAGES,
            hand=newgidmap,
        ),
        Fault(
            "newuidmap-powerless",
            "newuidmap lost its setuid bit",
            "uidmap.newuidmap",
            "administrator",
            root("chmod u-s /usr/bin/newuidmap"),
            root("chmod u+s /usr/bin/newuidmap"),
            Dies("newuidmap"),
        ),
        Fault(
            "newgidmap-powerless",
            "newgidmap lost its setuid bit",
            "uidmap.newgidmap",
            "administrator",
            root("chmod u-s /usr/bin/newgidmap"),
            root("chmod u+s /usr/bin/newgidmap"),
            Dies("newgidmap"),
        ),
        Fault(
            "newuidmap-nosuid",
            "newuidmap lies on a mount with nosuid",
            "uidmap.newuidmap",
            "administrator",
            root(nosuid),
            root(suid),
            Dies("newuidmap"),
            by_hand="options of mounts stand in files that no script should edit",
            hand=root(suid),
        ),
        Fault(
            "subuid-missing",
            "the user has no subordinate user ids",
            "subid.subuid",
            "administrator",
            root(f"sed -i /^{USER}:/d /etc/subuid"),
            SUBIDS,
            Dies(NO_RANGES),
        ),
        Fault(
            "subgid-missing",
            "the user has no subordinate group ids",
            "subid.subgid",
            "administrator",
            root(f"sed -i /^{USER}:/d /etc/subgid"),
            SUBIDS,
            Dies("No subgid ranges found"),
        ),
        Fault(
            "subuid-small",
            "the user has 1000 subordinate user ids",
            "subid.subuid",
            "administrator",
            root("sed -i s/:65536/:1000/ /etc/subuid"),
            SUBIDS,
            Lacks(
                "setpriv --reuid=65535 --clear-groups true",
                "nothing can run as 65535, which K3s's pause image does",
            ),
        ),
        Fault(
            "subuid-overlap",
            "two ranges of the user overlap",
            "subid.subuid",
            "administrator",
            root(f"echo {USER}:100100:65536 >> /etc/subuid"),
            SUBIDS,
            Dies("newuidmap"),
            by_hand="which of two rows is the wrong one, an administrator has to say",
            hand=SUBIDS,
        ),
        Fault(
            "subuid-shared",
            "another user has the same ids",
            "subid.overlap",
            "administrator",
            root("echo bob:165000:65536 >> /etc/subuid"),
            SUBIDS,
            Unseen("K3s starts; it is the other user who can reach the files of its containers"),
            verdict="warn",
            by_hand="files of containers may belong to these ids",
            hand=SUBIDS,
        ),
        Fault(
            "subuid-link",
            "/etc/subuid is a link",
            "subid.files",
            "administrator",
            root("mv /etc/subuid /etc/subuid.real; ln -s subuid.real /etc/subuid"),
            both(SUBIDS, root("rm -f /etc/subuid.real")),
            Dies("newuidmap"),
        ),
    )


def _kernel() -> tuple[Fault, ...]:
    away = (
        "path=$(modinfo -n vxlan); modprobe -r vxlan; mv $path /root/vxlan.ko; echo $path >"
        " /root/vxlan.path; depmod"
    )
    back = (
        "test ! -e /root/vxlan.ko || { mv /root/vxlan.ko $(cat /root/vxlan.path); depmod; };"
        " modprobe vxlan"
    )
    link = "ip link add name trial0 type vxlan id 7 dstport 4789 dev tap0"
    return (
        Fault(
            "ip-forward",
            "net.ipv4.ip_forward is 0",
            "sysctl.ip_forward",
            "administrator",
            sysctl("net.ipv4.ip_forward", "0"),
            sysctl("net.ipv4.ip_forward", "1"),
            Dies("net.ipv4.ip_forward"),
        ),
        Fault(
            "userns-clone",
            "kernel.unprivileged_userns_clone is 0",
            "userns.sysctl",
            "administrator",
            sysctl("kernel.unprivileged_userns_clone", "0"),
            sysctl("kernel.unprivileged_userns_clone", "1"),
            Dies("kernel.unprivileged_userns_clone"),
            machines=VMS,
        ),
        Fault(
            "userns-max",
            "user.max_user_namespaces is 0",
            "userns.max",
            "administrator",
            sysctl("user.max_user_namespaces", "0"),
            sysctl("user.max_user_namespaces", "7000"),
            Dies("no space left on device"),
            machines=VMS,
        ),
        Fault(
            "netns-max",
            "user.max_net_namespaces is 0",
            "userns.limits",
            "administrator",
            sysctl("user.max_net_namespaces", "0"),
            sysctl("user.max_net_namespaces", "7000"),
            Dies("no space left on device"),
            machines=VMS,
        ),
        Fault(
            "port-start",
            "users may not listen at ports below 7000",
            "sysctl.port_start",
            "administrator",
            sysctl("net.ipv4.ip_unprivileged_port_start", "7000"),
            sysctl("net.ipv4.ip_unprivileged_port_start", "1024"),
            Waits(IN_USE),
        ),
        Fault(
            "tun-closed",
            "/dev/net/tun is closed to users",
            "device.tun",
            "administrator",
            root("chmod 600 /dev/net/tun"),
            TUN,
            Dies("tap"),
        ),
        Fault(
            "tun-missing",
            "/dev/net/tun is not there",
            "device.tun",
            "administrator",
            root("rm /dev/net/tun"),
            TUN,
            Dies("tap"),
            by_hand=(
                "a device file that was deleted comes back at the next boot, or when its module is"
                " loaded anew"
            ),
            hand=TUN,
        ),
        Fault(
            "br-netfilter",
            "br_netfilter is not loaded",
            "kernel.br_netfilter",
            "administrator",
            root("modprobe -r br_netfilter"),
            root("rm -f /etc/modules-load.d/*k3s-rootless*; modprobe br_netfilter"),
            Lacks(
                "test -e /proc/sys/net/bridge/bridge-nf-call-iptables",
                "bridged packets pass by the rules of Services",
            ),
            verdict="warn",
            machines=VMS,
        ),
        Fault(
            "vxlan-missing",
            "the kernel has no vxlan",
            "kernel.vxlan",
            "administrator",
            root(away),
            root(back),
            Lacks(link, "flannel cannot make its device"),
            by_hand="another kernel has to be installed and booted",
            hand=root(back),
            machines=VMS,
        ),
    )


def _storage() -> tuple[Fault, ...]:
    noexec, gone = mounted("noexec")
    no_fuse3, fuse3 = program("mount.fuse3")
    return (
        Fault(
            "fuse-closed",
            "/dev/fuse is closed to users",
            "device.fuse",
            "administrator",
            root("chmod 600 /dev/fuse"),
            root("chmod 666 /dev/fuse; rm -f /etc/udev/rules.d/*k3s-rootless*"),
            Waits(FUSE),
        ),
        Fault(
            "fuse3-missing",
            "mount.fuse3 is not installed",
            "snapshotter.mount_fuse3",
            "administrator",
            no_fuse3,
            fuse3,
            Waits(FUSE),
            by_hand=NO_PACKAGES,
            hand=fuse3,
        ),
        Fault(
            "home-noexec",
            "the data directory is on a mount with noexec",
            "storage.mount",
            "user",
            noexec,
            gone,
            Dies("executable file not found"),
        ),
        Fault(
            "home-read-only",
            "the data directory is on a mount that is read-only",
            "storage.mount",
            "user",
            mounted("ro")[0],
            gone,
            Dies("extracting data"),
        ),
        Fault(
            "disk-full",
            "the disk of the data directory is full",
            "storage.space",
            "user",
            mounted("size=64k")[0],
            gone,
            Dies("no space left on device"),
        ),
        Fault(
            "inodes",
            "the disk of the data directory has no inodes left",
            "storage.space",
            "user",
            mounted("nr_inodes=4")[0],
            gone,
            Dies("no space left on device"),
        ),
        Fault(
            "data-of-root",
            "the data directory belongs to root",
            "storage.data",
            "administrator",
            root(f"install -d -o 0 -g 0 -m 700 {DATA}"),
            root(f"rm -rf {DATA}"),
            Dies("permission denied"),
            by_hand="whose files these are, an administrator has to say",
            hand=root(f"chown -R {UID}:{UID} {DATA}"),
        ),
        Fault(
            "tmp-closed",
            "/tmp is closed to users",
            "storage.tmp",
            "administrator",
            root("chmod 755 /tmp"),
            root("chmod 1777 /tmp"),
            Waits("under /tmp"),
        ),
        Fault(
            "leftovers",
            "a K3s that was killed left its sockets",
            "storage.leftovers",
            "user",
            root(
                f"install -d -o {UID} -g {UID} {DATA.parent} {DATA} {DATA}/rootless",
                f"runuser -u {USER} -- touch {DATA}/rootless/.bp.sock",
            ),
            root(f"rm -f {DATA}/rootless/.bp.sock"),
            Unseen("the stand-in's rootlesskit purges its directory, K3s's does not"),
            verdict="warn",
        ),
    )


def _network() -> tuple[Fault, ...]:
    far = "ip link set lo up; ip address add 10.41.7.1/24 dev lo; "
    near = "systemctl stop far.service; ip address del 10.41.7.1/24 dev lo 2>/dev/null || true"
    return (
        *(
            Fault(
                f"port-{port}",
                f"a program holds port {port}",
                f"net.port.{name}",
                "user",
                hold(port),
                freed(port),
                Waits(IN_USE),
                verdict=verdict,
                by_hand=ENDED,
                hand=freed(port),
            )
            for port, name, verdict in (
                (6443, "api", "fail"),
                (10080, "http", "warn"),
                (10443, "https", "warn"),
            )
        ),
        Fault(
            "range-rootless",
            "the host has an address in K3S_ROOTLESS_CIDR",
            "net.cidr.rootless",
            "user",
            root(far + LISTENER),
            both(root(near), no_drop_in),
            Lacks(FAR, "what listens there is not reached"),
            verdict="warn",
        ),
        Fault(
            "range-pods",
            "a route of the host leads into the range of pods",
            "net.cidr.pods",
            "user",
            root("ip link set lo up; ip route add 10.42.7.0/24 dev lo"),
            root("ip route del 10.42.7.0/24 dev lo 2>/dev/null || true"),
            Unseen(NO_PODS),
            verdict="warn",
            by_hand=EDITED,
            hand=root("ip route del 10.42.7.0/24 dev lo 2>/dev/null || true"),
        ),
        Fault(
            "range-services",
            "a route in a table of its own leads into the range of Services",
            "net.cidr.services",
            "user",
            root("ip link set lo up; ip route add 10.43.9.0/24 dev lo table 51"),
            root("ip route del 10.43.9.0/24 dev lo table 51 2>/dev/null || true"),
            Unseen(NO_PODS),
            verdict="warn",
            by_hand=EDITED,
            hand=root("ip route del 10.43.9.0/24 dev lo table 51 2>/dev/null || true"),
        ),
        Fault(
            "no-localhost",
            "/etc/hosts has no localhost",
            "net.localhost",
            "administrator",
            root("cp /etc/hosts /root/hosts; : > /etc/hosts"),
            root("cat /root/hosts > /etc/hosts"),
            Unseen("`kubectl port-forward` into a pod fails, and " + NO_PODS),
            verdict="warn",
            by_hand="names of a host are its administrator's",
            hand=root("cat /root/hosts > /etc/hosts"),
        ),
        Fault(
            "no-resolver",
            "/etc/resolv.conf names no server",
            "net.resolver",
            "administrator",
            root("cp /etc/resolv.conf /root/resolv; : > /etc/resolv.conf"),
            root("cat /root/resolv > /etc/resolv.conf"),
            Unseen("no image is pulled by the stand-in"),
            verdict="warn",
            by_hand="which server there is, an administrator has to say",
            hand=root("cat /root/resolv > /etc/resolv.conf"),
        ),
    )


def _host() -> tuple[Fault, ...]:
    closed = f"mkdir -p {CONFIG.rpartition('/')[0]}; install -m 600 /dev/null {CONFIG}"
    name = "/usr/bin/python3 -c 'import socket; socket.sethostname(\"a_b\")'"
    seen = root("mount -o remount,hidepid=0 /proc")
    lingers = f"/var/lib/systemd/linger/{USER}"
    return (
        Fault(
            "config-closed",
            "/etc/rancher/k3s/config.yaml is closed to users",
            "config.readable",
            "user",
            root(closed),
            both(root("rm -rf /etc/rancher"), no_drop_in),
            Dies(f"open {CONFIG}"),
        ),
        Fault(
            "host-name",
            "the host is called a_b",
            "host.hostname",
            "administrator",
            root("hostname > /root/name; " + name),
            root("hostname $(cat /root/name)"),
            Waits("is invalid: metadata.name"),
            by_hand="the new name, an administrator has to choose",
            hand=root("hostname $(cat /root/name)"),
        ),
        Fault(
            "hidepid",
            "/proc is mounted with hidepid=2",
            "host.hidepid",
            "administrator",
            root("mount -o remount,hidepid=2 /proc"),
            seen,
            Unseen("K3s starts; what runs beside it is not seen"),
            verdict="warn",
            by_hand="options of mounts stand in files that no script should edit",
            hand=seen,
        ),
        Fault(
            "no-lingering",
            "the user does not linger",
            "session.linger",
            "user",
            root(f"rm {lingers}"),
            root(f"touch {lingers}"),
            Unseen("K3s ends only with the last session"),
            verdict="warn",
            by_hand="logind of a lab has no polkit to ask",
            hand=root(f"touch {lingers}"),
            machines=LAB,
        ),
        Fault(
            "no-lingering-polkit",
            "the user does not linger, where polkit runs",
            "session.linger",
            "user",
            root(f"rm {lingers}"),
            root(f"touch {lingers}"),
            Unseen("K3s ends only with the last session"),
            verdict="warn",
            machines=VMS,
        ),
        Fault(
            "masked",
            "the unit is masked",
            "unit.state",
            "user",
            user(MASK),
            user(UNMASK),
            Refused("masked"),
        ),
        Fault(
            "delegate-no",
            "a drop-in takes Delegate=yes away",
            "unit.state",
            "user",
            drop_in("Delegate=no"),
            no_drop_in,
            Dies("cgroup"),
            machines=VMS,
        ),
        Fault(
            "cidr-invalid",
            "K3S_ROOTLESS_CIDR has bits of a host",
            "env.valid",
            "user",
            drop_in("Environment=K3S_ROOTLESS_CIDR=10.41.0.1/16"),
            no_drop_in,
            Dies("host identifier bits must not be set"),
        ),
        Fault(
            "mtu-invalid",
            "K3S_ROOTLESS_MTU is no MTU",
            "env.valid",
            "user",
            drop_in("Environment=K3S_ROOTLESS_MTU=-5"),
            no_drop_in,
            Dies("mtu"),
        ),
        Fault(
            "release",
            "K3s is of a release that cannot start rootless",
            "k3s.version",
            "user",
            order(version="v1.34.4+k3s1"),
            order(),
            Dies("evacuate root cgroup"),
            by_hand="another release has to be fetched from the network",
            hand=order(),
        ),
        Fault(
            "not-delegated",
            "user managers are given cpu, memory and pids alone",
            "cgroup.delegation.cpuset",
            "administrator",
            nothing,
            nothing,
            Dies("failed to find cpuset cgroup"),
            before=restored(),
            machines=VMS,
        ),
        Fault(
            "not-realized",
            "delegation is configured, and not realized",
            "cgroup.delegation.cpuset",
            "user",
            nothing,
            nothing,
            Dies("failed to find cpuset cgroup"),
            before=restored(*ALL),
            machines=VMS,
        ),
        Fault(
            "not-effective",
            "delegation is realized, and the user manager does not know",
            "cgroup.delegation.cpuset",
            "user",
            log_in,
            nothing,
            Dies("failed to find cpuset cgroup"),
            before=restored(*ALL),
            machines=VMS,
        ),
    )


FAULTS = (*_maps(), *_kernel(), *_storage(), *_network(), *_host(), *faults_of_settings.FAULTS)
