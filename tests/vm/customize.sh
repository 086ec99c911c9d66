#!/bin/sh
# Configure the installed packages as the machine under test. mmdebstrap runs this script with the path of the root file
# system; $2 is the public key.
set -eu
root=$1
key=$2

put() { # path: write standard input to this file
    mkdir -p "$root${1%/*}"
    cat >"$root$1"
}

mask() {
    for unit; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done
}

chroot "$root" useradd --uid 1500 --create-home --skel /nonexistent --shell /bin/bash alice
echo alice:100000:65536 | put /etc/subuid
echo alice:100000:65536 | put /etc/subgid
put /var/lib/systemd/linger/alice </dev/null
for home in root home/alice; do
    install -d -m 0700 "$root/$home/.ssh"
    install -m 0600 "$key" "$root/$home/.ssh/authorized_keys"
done
chroot "$root" chown -R alice:alice /home/alice

echo vm | put /etc/hostname
printf '127.0.0.1 localhost\n127.0.1.1 vm\n::1 localhost\n' | put /etc/hosts
echo 'nameserver 10.0.2.3' | put /etc/resolv.conf
: | put /etc/fstab
echo LANG=C.UTF-8 | put /etc/default/locale
echo 'd /run/driver 1777 root root' | put /etc/tmpfiles.d/driver.conf
chroot "$root" systemd-machine-id-setup
echo 'net.ipv4.ip_forward = 1' | put /etc/sysctl.d/90-forward.conf
printf '%s\n' virtio_net tun fuse overlay br_netfilter vxlan veth \
    iptable_nat ip6table_nat nft_compat xt_MASQUERADE xt_conntrack xt_comment xt_mark xt_multiport xt_addrtype xt_statistic |
    put /etc/modules-load.d/k3s.conf
install -d -m 2755 "$root/var/log/journal"
install -d "$root/payload" "$root/opt" "$root/usr/local/bin"

put /etc/systemd/system/network.service <<'UNIT'
[Unit]
Description=The one address, towards the driver
DefaultDependencies=no
After=systemd-modules-load.service systemd-sysctl.service
Before=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/ip link set lo up
ExecStart=/usr/sbin/ip address add 10.0.2.15/24 dev eth0
ExecStart=/usr/sbin/ip link set eth0 up
ExecStart=/usr/sbin/ip route add default via 10.0.2.2

[Install]
WantedBy=sysinit.target
UNIT

# SSH for root bypasses PAM, so that commands of the driver create no session and start no user manager of root.
put /etc/systemd/system/control.service <<'UNIT'
[Unit]
Description=The driver's door for root
After=network.service

[Service]
ExecStart=/usr/sbin/sshd -D -p 2222 -o UsePAM=no -o PidFile=none -o SetEnv=LANG=C.UTF-8
RuntimeDirectory=sshd
RuntimeDirectoryPreserve=yes
KillMode=mixed

[Install]
WantedBy=multi-user.target
UNIT

# Many commands share one connection, and the driver retries often while it waits.
put /etc/ssh/sshd_config.d/driver.conf <<'CONF'
PasswordAuthentication no
MaxSessions 200
MaxStartups 200
PrintLastLog no
CONF
# OpenSSH has this option since 9.8; earlier releases do not start with it.
! grep -q PerSourcePenalties "$root/usr/sbin/sshd" || echo 'PerSourcePenalties no' >>"$root/etc/ssh/sshd_config.d/driver.conf"
sed -i '/pam_motd\|pam_mail/d' "$root/etc/pam.d/sshd"

chroot "$root" systemctl enable network.service control.service ssh.service
# Coldplugging virtual hardware would take ten seconds in emulation: /etc/modules-load.d lists the modules that are needed.
mask systemd-udev-trigger.service
mask getty.target getty@tty1.service serial-getty@ttyS0.service \
    fstrim.timer dpkg-db-backup.timer systemd-tmpfiles-clean.timer e2scrub_all.timer e2scrub_reap.service \
    systemd-timesyncd.service systemd-resolved.service systemd-pstore.service systemd-firstboot.service \
    dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
    systemd-binfmt.service proc-sys-fs-binfmt_misc.automount systemd-udev-load-credentials.service \
    modprobe@drm.service modprobe@efi_pstore.service modprobe@configfs.service sshd-keygen.service

# Nothing has changed since the packages were configured, so units with ConditionNeedsUpdate= need not run at boot.
touch -r "$root/usr" "$root/etc/.updated" "$root/var/.updated"
