#!/bin/sh
# Set up a machine in new namespaces, and execute its systemd. The driver runs this script through unshare(1) with
#   LAB_STATE      a directory of the host: mount points that only these namespaces see, and the socket for READY=1
#   LAB_CGROUP     the cgroup of the lab, in the cgroup2 mount of the host
#   LAB_LOWER      the lower root file system, read-only: / of the host or another distribution
#   LAB_PAYLOAD    the software under test (tests/payload.py)
#   LAB_FURNITURE  files that are copied over the root file system
#   LAB_K3S        a real K3s to use instead of the stand-in, or empty
#   LAB_MACHINE_ID
set -eu

user=alice
uid=1500
scratch=$LAB_STATE/scratch
root=$scratch/root

enter_cgroup() {
    echo 0 >"$LAB_CGROUP/cgroup.procs"
    # In the cgroup namespace, this cgroup is the root of the hierarchy.
    exec unshare --cgroup sh "$0" furnish
}

mount_tree() {
    mount -t tmpfs -o mode=755 tmpfs "$scratch"
    mkdir "$scratch/upper" "$scratch/work" "$scratch/home" "$scratch/journal" "$root"
    mount -t overlay overlay -o "lowerdir=$LAB_LOWER,upperdir=$scratch/upper,workdir=$scratch/work" "$root"
    # Not on the overlay: overlay mounts of the user need another file system below them.
    mount --bind "$scratch/home" "$root/home"
    mkdir -p "$root/var/log/journal" # persistent, so that users can read their own journals
    mount --bind "$scratch/journal" "$root/var/log/journal"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
}

mount_kernel() {
    mount -t proc proc "$root/proc"
    echo 1 >"$root/proc/sys/net/ipv4/ip_forward"
    # Only /proc/sys/net belongs to this lab; the rest of /proc/sys belongs to the host.
    mount --bind "$root/proc/sys" "$root/proc/sys"
    mount --bind "$root/proc/sys/net" "$root/proc/sys/net"
    mount -o remount,bind,ro "$root/proc/sys"
    # The kernel lets a user namespace mount procfs and sysfs only if a fully visible instance exists.
    mkdir -p "$root/run/host/proc" "$root/run/host/sys"
    mount -t proc proc "$root/run/host/proc"
    mount -t sysfs sysfs "$root/run/host/sys"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
}

mount_devices() {
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/net"
    # kmsg has the device numbers of null: K3s needs the file, but the lab must not read the kernel log of the host.
    # These are separate nodes: a program in the lab that changes the mode of /dev/null must not change that of the host.
    while read -r node major minor; do
        mknod -m 666 "$root/dev/$node" c "$major" "$minor"
    done <<EOF_NODES
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
kmsg 1 3
EOF_NODES
    mknod -m 666 "$root/dev/net/tun" c 10 200
    mknod -m 666 "$root/dev/fuse" c 10 229
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
}

configure() {
    # The lab does not use the units, mounts and DNS settings of the host.
    rm -rf "$root/etc/systemd/system" "$root/etc/systemd/user" "$root/etc/resolv.conf"
    # The K3s under test would read K3s files of the tree, such as a configuration file of the host.
    rm -rf "$root/etc/rancher" "$root/var/lib/rancher"
    # A lab never has polkit, even if its tree has the package: tests check what a user is allowed to do without polkit.
    rm -f "$root/usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service"
    : >"$root/etc/fstab"
    cp -R "$LAB_FURNITURE/." "$root/"
    echo "$LAB_MACHINE_ID" >"$root/etc/machine-id"
    for unit in console-getty.service getty@.service ldconfig.service systemd-firstboot.service systemd-networkd.service \
        systemd-pcrphase.service systemd-resolved.service systemd-sysctl.service systemd-timesyncd.service \
        systemd-udevd.service systemd-udev-trigger.service systemd-update-utmp.service tmp.mount; do
        ln -s /dev/null "$root/etc/systemd/system/$unit"
    done
}

add_user() {
    for table in passwd group shadow; do
        kept=$(grep -v -e "^$user:" -e "^[^:]*:[^:]*:$uid:" "$root/etc/$table")
        printf '%s\n' "$kept" >"$root/etc/$table"
    done
    echo "$user:x:$uid:$uid::/home/$user:/bin/bash" >>"$root/etc/passwd"
    echo "$user:x:$uid:" >>"$root/etc/group"
    echo "$user:!:19000:0:99999:7:::" >>"$root/etc/shadow"
    echo "$user:100000:65536" | tee "$root/etc/subuid" >"$root/etc/subgid"
    cp -R "$root/etc/skel" "$root/home/$user"
    chown -R "$uid:$uid" "$root/home/$user"
    chmod 750 "$root/home/$user"
    mkdir -p "$root/var/lib/systemd/linger"
    : >"$root/var/lib/systemd/linger/$user"
}

add_payload() {
    for part in k3s-rootless k3s-standin; do
        mkdir -p "$root/opt/$part"
        mount --bind "$LAB_PAYLOAD/opt/$part" "$root/opt/$part"
        mount -o remount,bind,ro "$root/opt/$part"
    done
    cp "$LAB_PAYLOAD/usr/local/bin/"* "$root/usr/local/bin/"
    [ -z "$LAB_K3S" ] || install -m 755 "$LAB_K3S" "$root/usr/local/bin/k3s"
}

furnish() {
    mount_tree
    mount_kernel
    mount_devices
    configure
    add_user
    add_payload
    : >"$root/run/host/notify"
    mount --bind "$LAB_STATE/notify" "$root/run/host/notify"
    mkdir "$root/run/old"
    cd "$root"
    pivot_root . run/old
    umount -l /run/old
    rmdir /run/old
    # Time, modules, reboot and raw devices belong to the host.
    exec setpriv --bounding-set -sys_module,-sys_time,-sys_rawio,-sys_boot,-mac_admin,-mac_override,-syslog,-wake_alarm \
        env -i container=lab NOTIFY_SOCKET=/run/host/notify PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin LANG=C.UTF-8 \
        /usr/lib/systemd/systemd --system --unit=lab.target --log-target=journal
}

case ${1:-} in
furnish) furnish ;;
*) enter_cgroup ;;
esac
