"""Real faults of a host: the check that reports each, the effect on K3s, and the fix.

Each fault is injected alone into a healthy host; `tests.e2e.injecting` follows it to its end.
"""

from __future__ import annotations

from tests.e2e import faults_of_settings
from tests.e2e.causes import (
    CONFIG,
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
    Exits,
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

NO_PACKAGES = "no package source is available on the machine"
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
ENDED = "the owner of the program must decide whether to end it"
NO_PODS = "the stand-in runs no pods"
EDITED = "the flag must be added to the unit in an editor"
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
            Exits("newuidmap"),
            manual=NO_PACKAGES,
            manual_fix=newuidmap,
        ),
        Fault(
            "newgidmap-missing",
            "newgidmap is not installed",
            "uidmap.newgidmap",
            "administrator",
            no_newgidmap,
            newgidmap,
            Exits("newgidmap"),
            manual=NO_PACKAGES,
            manual_fix=newgidmap,
        ),
        Fault(
            "newuidmap-powerless",
            "newuidmap lost its setuid bit",
            "uidmap.newuidmap",
            "administrator",
            root("chmod u-s /usr/bin/newuidmap"),
            root("chmod u+s /usr/bin/newuidmap"),
            Exits("newuidmap"),
        ),
        Fault(
            "newgidmap-powerless",
            "newgidmap lost its setuid bit",
            "uidmap.newgidmap",
            "administrator",
            root("chmod u-s /usr/bin/newgidmap"),
            root("chmod u+s /usr/bin/newgidmap"),
            Exits("newgidmap"),
        ),
        Fault(
            "newuidmap-nosuid",
            "newuidmap is on a mount with nosuid",
            "uidmap.newuidmap",
            "administrator",
            root(nosuid),
            root(suid),
            Exits("newuidmap"),
            manual="mount options are in files that a script should not edit",
            manual_fix=root(suid),
        ),
        Fault(
            "subuid-missing",
            "the user has no subordinate user ids",
            "subid.subuid",
            "administrator",
            root(f"sed -i /^{USER}:/d /etc/subuid"),
            SUBIDS,
            Exits(NO_RANGES),
        ),
        Fault(
            "subgid-missing",
            "the user has no subordinate group ids",
            "subid.subgid",
            "administrator",
            root(f"sed -i /^{USER}:/d /etc/subgid"),
            SUBIDS,
            Exits("No subgid ranges found"),
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
                "no process can run as uid 65535, which the pause image of K3s uses",
            ),
        ),
        Fault(
            "subuid-overlap",
            "two ranges of the user overlap",
            "subid.subuid",
            "administrator",
            root(f"echo {USER}:100100:65536 >> /etc/subuid"),
            SUBIDS,
            Exits("newuidmap"),
            manual="an administrator must decide which of the two rows is wrong",
            manual_fix=SUBIDS,
        ),
        Fault(
            "subuid-shared",
            "another user has the same ids",
            "subid.overlap",
            "administrator",
            root("echo bob:165000:65536 >> /etc/subuid"),
            SUBIDS,
            Unseen("K3s starts, but the other user can access the files of its containers"),
            verdict="warn",
            manual="files of containers can belong to these ids",
            manual_fix=SUBIDS,
        ),
        Fault(
            "subuid-link",
            "/etc/subuid is a link",
            "subid.files",
            "administrator",
            root("mv /etc/subuid /etc/subuid.real; ln -s subuid.real /etc/subuid"),
            both(SUBIDS, root("rm -f /etc/subuid.real")),
            Exits("newuidmap"),
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
            Exits("net.ipv4.ip_forward"),
        ),
        Fault(
            "userns-clone",
            "kernel.unprivileged_userns_clone is 0",
            "userns.sysctl",
            "administrator",
            sysctl("kernel.unprivileged_userns_clone", "0"),
            sysctl("kernel.unprivileged_userns_clone", "1"),
            Exits("kernel.unprivileged_userns_clone"),
            machines=VMS,
        ),
        Fault(
            "userns-max",
            "user.max_user_namespaces is 0",
            "userns.max",
            "administrator",
            sysctl("user.max_user_namespaces", "0"),
            sysctl("user.max_user_namespaces", "7000"),
            Exits("no space left on device"),
            machines=VMS,
        ),
        Fault(
            "netns-max",
            "user.max_net_namespaces is 0",
            "userns.limits",
            "administrator",
            sysctl("user.max_net_namespaces", "0"),
            sysctl("user.max_net_namespaces", "7000"),
            Exits("no space left on device"),
            machines=VMS,
        ),
        Fault(
            "port-start",
            "users are not allowed to listen on ports below 7000",
            "sysctl.port_start",
            "administrator",
            sysctl("net.ipv4.ip_unprivileged_port_start", "7000"),
            sysctl("net.ipv4.ip_unprivileged_port_start", "1024"),
            Waits(IN_USE),
        ),
        Fault(
            "tun-closed",
            "users are not allowed to open /dev/net/tun",
            "device.tun",
            "administrator",
            root("chmod 600 /dev/net/tun"),
            TUN,
            Exits("tap"),
        ),
        Fault(
            "tun-missing",
            "/dev/net/tun does not exist",
            "device.tun",
            "administrator",
            root("rm /dev/net/tun"),
            TUN,
            Exits("tap"),
            manual=(
                "a deleted device file is created again at the next boot, or when its module is"
                " loaded again"
            ),
            manual_fix=TUN,
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
                "bridged packets bypass the rules of Services",
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
            Lacks(link, "flannel cannot create its device"),
            manual="another kernel must be installed and booted",
            manual_fix=root(back),
            machines=VMS,
        ),
    )


def _storage() -> tuple[Fault, ...]:
    noexec, gone = mounted("noexec")
    no_fuse3, fuse3 = program("mount.fuse3")
    return (
        Fault(
            "fuse-closed",
            "users are not allowed to open /dev/fuse",
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
            manual=NO_PACKAGES,
            manual_fix=fuse3,
        ),
        Fault(
            "home-noexec",
            "the data directory is on a mount with noexec",
            "storage.mount",
            "user",
            noexec,
            gone,
            Exits("executable file not found"),
        ),
        Fault(
            "home-read-only",
            "the data directory is on a read-only mount",
            "storage.mount",
            "user",
            mounted("ro")[0],
            gone,
            Exits("extracting data"),
        ),
        Fault(
            "disk-full",
            "the disk of the data directory is full",
            "storage.space",
            "user",
            mounted("size=64k")[0],
            gone,
            Exits("no space left on device"),
        ),
        Fault(
            "inodes",
            "the disk of the data directory has no inodes left",
            "storage.space",
            "user",
            mounted("nr_inodes=4")[0],
            gone,
            Exits("no space left on device"),
        ),
        Fault(
            "data-of-root",
            "the data directory belongs to root",
            "storage.data",
            "administrator",
            root(f"install -d -o 0 -g 0 -m 700 {DATA}"),
            root(f"rm -rf {DATA}"),
            Exits("permission denied"),
            manual="an administrator must decide who owns these files",
            manual_fix=root(f"chown -R {UID}:{UID} {DATA}"),
        ),
        Fault(
            "tmp-closed",
            "users are not allowed to write to /tmp",
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
            Unseen("rootlesskit of the stand-in cleans its directory; that of K3s does not"),
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
                f"another program uses port {port}",
                f"net.port.{name}",
                "user",
                hold(port),
                freed(port),
                Waits(IN_USE),
                verdict=verdict,
                manual=ENDED,
                manual_fix=freed(port),
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
            Lacks(FAR, "K3s cannot reach programs that listen there"),
            verdict="warn",
        ),
        Fault(
            "range-pods",
            "a route of the host overlaps the pod network",
            "net.cidr.pods",
            "user",
            root("ip link set lo up; ip route add 10.42.7.0/24 dev lo"),
            root("ip route del 10.42.7.0/24 dev lo 2>/dev/null || true"),
            Unseen(NO_PODS),
            verdict="warn",
            manual=EDITED,
            manual_fix=root("ip route del 10.42.7.0/24 dev lo 2>/dev/null || true"),
        ),
        Fault(
            "range-services",
            "a route in a separate table overlaps the Service network",
            "net.cidr.services",
            "user",
            root("ip link set lo up; ip route add 10.43.9.0/24 dev lo table 51"),
            root("ip route del 10.43.9.0/24 dev lo table 51 2>/dev/null || true"),
            Unseen(NO_PODS),
            verdict="warn",
            manual=EDITED,
            manual_fix=root("ip route del 10.43.9.0/24 dev lo table 51 2>/dev/null || true"),
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
            manual="an administrator must choose the names of a host",
            manual_fix=root("cat /root/hosts > /etc/hosts"),
        ),
        Fault(
            "no-resolver",
            "/etc/resolv.conf names no server",
            "net.resolver",
            "administrator",
            root("cp /etc/resolv.conf /root/resolv; : > /etc/resolv.conf"),
            root("cat /root/resolv > /etc/resolv.conf"),
            Unseen("the stand-in pulls no images"),
            verdict="warn",
            manual="an administrator must choose the name server",
            manual_fix=root("cat /root/resolv > /etc/resolv.conf"),
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
            "users are not allowed to read /etc/rancher/k3s/config.yaml",
            "config.readable",
            "user",
            root(closed),
            both(root("rm -rf /etc/rancher"), no_drop_in),
            Exits(f"open {CONFIG}"),
        ),
        Fault(
            "host-name",
            "the host name is a_b",
            "host.hostname",
            "administrator",
            root("hostname > /root/name; " + name),
            root("hostname $(cat /root/name)"),
            Waits("is invalid: metadata.name"),
            manual="an administrator must choose the new name",
            manual_fix=root("hostname $(cat /root/name)"),
        ),
        Fault(
            "hidepid",
            "/proc is mounted with hidepid=2",
            "host.hidepid",
            "administrator",
            root("mount -o remount,hidepid=2 /proc"),
            seen,
            Unseen("K3s starts; processes of other users are not visible"),
            verdict="warn",
            manual="mount options are in files that a script should not edit",
            manual_fix=seen,
        ),
        Fault(
            "no-lingering",
            "lingering is off",
            "session.linger",
            "user",
            root(f"rm {lingers}"),
            root(f"touch {lingers}"),
            Unseen("K3s stops only when the last session ends"),
            verdict="warn",
            manual="the lab has no polkit, which logind needs",
            manual_fix=root(f"touch {lingers}"),
            machines=LAB,
        ),
        Fault(
            "no-lingering-polkit",
            "lingering is off, on a host with polkit",
            "session.linger",
            "user",
            root(f"rm {lingers}"),
            root(f"touch {lingers}"),
            Unseen("K3s stops only when the last session ends"),
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
            "a drop-in sets Delegate=no",
            "unit.state",
            "user",
            drop_in("Delegate=no"),
            no_drop_in,
            Exits("cgroup"),
            machines=VMS,
        ),
        Fault(
            "cidr-invalid",
            "K3S_ROOTLESS_CIDR has host bits set",
            "env.valid",
            "user",
            drop_in("Environment=K3S_ROOTLESS_CIDR=10.41.0.1/16"),
            no_drop_in,
            Exits("host identifier bits must not be set"),
        ),
        Fault(
            "mtu-invalid",
            "K3S_ROOTLESS_MTU is not a valid MTU",
            "env.valid",
            "user",
            drop_in("Environment=K3S_ROOTLESS_MTU=-5"),
            no_drop_in,
            Exits("mtu"),
        ),
        Fault(
            "release",
            "this release of K3s cannot start rootless",
            "k3s.version",
            "user",
            order(version="v1.34.4+k3s1"),
            order(),
            Exits("evacuate root cgroup"),
            manual="another release must be downloaded",
            manual_fix=order(),
        ),
        Fault(
            "not-delegated",
            "user managers get only cpu, memory and pids",
            "cgroup.delegation.cpuset",
            "administrator",
            nothing,
            nothing,
            Exits("failed to find cpuset cgroup"),
            before=restored(),
            machines=VMS,
        ),
        Fault(
            "not-realized",
            "delegation is configured but not realized",
            "cgroup.delegation.cpuset",
            "user",
            nothing,
            nothing,
            Exits("failed to find cpuset cgroup"),
            before=restored(*ALL),
            machines=VMS,
        ),
        Fault(
            "not-effective",
            "delegation is realized, but the user manager does not know the new controllers",
            "cgroup.delegation.cpuset",
            "user",
            log_in,
            nothing,
            Exits("failed to find cpuset cgroup"),
            before=restored(*ALL),
            machines=VMS,
        ),
    )


FAULTS = (*_maps(), *_kernel(), *_storage(), *_network(), *_host(), *faults_of_settings.FAULTS)
