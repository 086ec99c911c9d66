"""Failures in the network of the child namespace: tap device, addresses, names."""

from __future__ import annotations

from k3s_rootless.journal.catalogue.entry import (
    RESTART,
    Failure,
    Weight,
    administrator,
    environment,
    own_file,
    sign,
    user,
)

_FILE = "$HOME/.config/k3s/resolv.conf"
_WRITTEN = f"echo 'nameserver ADDRESS' > {_FILE}"
_NO_MTU = environment("name an MTU of 1 to 65521, or none at all", "K3S_ROOTLESS_MTU=1500")

FAILURES = (
    Failure(
        "tun",
        "the tap device cannot be made: /dev/net/tun is missing or closed",
        "the module tun is not loaded, cannot be since the kernel was upgraded, or a container was"
        " not given the device",
        administrator(
            "load the module, and let everybody open the device; reboot where the running kernel's"
            " modules are gone",
            "sudo modprobe tun; echo tun | sudo tee /etc/modules-load.d/tun.conf",
            "sudo chmod 666 /dev/net/tun",
        ),
        (
            sign(
                "setting up tap ", r"setting up tap \w{1,20}: executing .{0,2000}?: exit status \d+"
            ),
            sign("open: No such ", r"^(\S{1,200} ){0,4}open: No such (file or directory|device)$"),
            sign('open("/dev/net/tun")', r'open\("/dev/net/tun"\): .{1,100}'),
            sign(
                "/dev/net/tun: ",
                r"/dev/net/tun: ([Nn]o such (file or directory|device)|[Pp]ermission denied)",
            ),
        ),
        check="device.tun",
    ),
    Failure(
        "slirp4netns-missing",
        "slirp4netns is not on the unit's PATH",
        "K3s's own releases bring it along; builds of distributions leave it to the host",
        administrator(
            "install slirp4netns 1.0 or later where the unit's PATH finds it; where a drop-in sets"
            " PATH, take that out",
            "sudo apt-get install slirp4netns",
            "systemctl --user cat k3s-rootless.service",
        ),
        (sign("slirp4netns", r'exec: "slirp4netns": executable file not found'),),
    ),
    Failure(
        "slirp4netns-old",
        "slirp4netns is too old",
        "an old copy of the host's is found before K3s's own",
        administrator(
            "install slirp4netns 1.0 or later, or take the old one away", "slirp4netns --version"
        ),
        (
            sign(
                "slirp4netns",
                r"slirp4netns seems older than v[\d.]+|this version of slirp4netns does not support"
                r" --(?!enable-ipv6)\S+",
            ),
            sign(
                "does not support --enable-ipv6",
                r"this version of slirp4netns does not support --enable-ipv6",
                "slirp4netns is too old for IPv6",
            ),
        ),
    ),
    Failure(
        "slirp4netns-failed",
        "slirp4netns ended instead of making the network",
        "its own reason is only in the journal with --debug: an MTU or CIDR that it does not take,"
        " /dev/net/tun, or seccomp",
        user(
            "look at the settings of the unit, then at /dev/net/tun",
            "systemctl --user cat k3s-rootless.service",
            "ls -l /dev/net/tun",
        ),
        (
            sign(
                "waiting for ready fd",
                r"waiting for ready fd \([^)]{0,2000}\): slirp4netns (failed|killed by signal)",
            ),
        ),
    ),
    Failure(
        "conntrack",
        "kube-proxy may not set nf_conntrack_max",
        "the kernel keeps it from other network namespaces; K3s leaves it alone unless "
        "--kube-proxy-arg=conntrack-... asks for it",
        user(
            "leave conntrack-* out of the arguments of kube-proxy",
            "systemctl --user cat k3s-rootless.service",
        ),
        (
            sign(
                "nf_conntrack_max",
                r"(server\.go:\d+\]|could not set conntrack parameters).{0,300}?nf_conntrack_max:"
                r" permission denied",
            ),
        ),
    ),
    Failure(
        "kernel-modules",
        "modules of the kernel are missing, which K3s cannot load without root",
        "rootful K3s loads them itself; without br_netfilter Services answer some Pods only,"
        " without iptables' modules none",
        administrator(
            "load them at each boot",
            "printf '%s\\n' br_netfilter nf_conntrack overlay tun fuse veth vxlan ip_tables"
            " iptable_nat iptable_filter nf_tables xt_MASQUERADE xt_addrtype xt_comment"
            " xt_conntrack xt_mark xt_multiport xt_nat | sudo tee"
            " /etc/modules-load.d/k3s-rootless.conf",
            "sudo systemctl restart systemd-modules-load",
        ),
        (
            sign(
                "with modprobe",
                r"module (?P<it>[\w-]{1,64})",
                "K3s cannot load {it} itself",
                weight=Weight.NOTE,
            ),
            sign(
                "bridge-nf-call",
                r"/proc/sys/net/bridge/bridge-nf-call-ip6?tables: no such file",
                weight=Weight.NOTE,
            ),
            sign(
                "could not insert",
                r"could not insert '\w{1,64}': Operation not permitted",
                weight=Weight.NOTE,
            ),
            sign(
                "can't initialize ip",
                r"can't initialize ip6?tables table `\w{1,64}': (Table does not exist|Permission"
                r" denied)",
                "iptables does not work in the namespace",
                weight=Weight.SURVIVED,
            ),
            sign(
                "KUBE-ROUTER-",
                r"failed to run iptables command to create KUBE-ROUTER-\S{1,64} chain",
                "iptables does not work in the namespace",
            ),
        ),
        check="kernel",
    ),
    Failure(
        "cidr-invalid",
        "{cidr} is no network for K3S_ROOTLESS_CIDR",
        "it takes one IPv4 network, without host bits, with a prefix of 1 to 25; IPv6 it takes"
        " none",
        environment(
            "name an IPv4 network such as 10.41.0.0/16, or none at all",
            "K3S_ROOTLESS_CIDR=10.41.0.0/16",
        ),
        (
            sign("invalid CIDR", r'invalid CIDR( address)?: (?P<cidr>[^\s"]{1,200})'),
            sign(
                "CIDR prefix",
                r"host identifier bits must not be set in CIDR prefix",
                "K3S_ROOTLESS_CIDR names a host, not a network",
            ),
            sign(
                "cidr must be like",
                r"cidr must be like \S{1,64}, not like \S{1,64}",
                "K3S_ROOTLESS_CIDR names a host, not a network",
            ),
            sign(
                "prefix length needs",
                r"prefix length needs to be (?P<range>\d{1,3}-\d{1,3})",
                "K3S_ROOTLESS_CIDR has no prefix of {range}",
            ),
        ),
        check="env.valid",
    ),
    Failure(
        "cidr-overlap",
        "the addresses of K3s are those of another network here",
        "the child network (10.41.0.0/16), Pods (10.42.0.0/16) or Services (10.43.0.0/16) cover"
        " hosts of a LAN, a VPN or Docker",
        environment("choose another network for the child", "K3S_ROOTLESS_CIDR=172.31.240.0/24"),
        (
            sign("already routed", r"routes: default CIDRs .{0,300}? already routed"),
            sign("No route to host", r"No route to host", weight=Weight.NOTE),
        ),
        weight=Weight.SURVIVED,
        check="net.cidr",
    ),
    Failure(
        "mtu-invalid",
        "K3S_ROOTLESS_MTU is no MTU",
        "K3s takes no negative number, and slirp4netns none above 65521; another word only gets a"
        " warning",
        _NO_MTU,
        (
            sign("negative mtu", r"got negative mtu"),
            sign("MTU must be", r"MTU must be a positive integer"),
        ),
        check="env.valid",
    ),
    Failure(
        "mtu-stalls",
        "transfers stall: the MTU may be too large for the way out",
        "K3s's default inside is 65520, which VPNs and PPPoE do not carry; a value that is no"
        " number is left at that",
        _NO_MTU,
        (
            sign("TLS handshake timeout", r"net/http: TLS handshake timeout", weight=Weight.NOTE),
            sign(
                "value; using default",
                r"Failed to parse rootless mtu value; using default",
                "K3S_ROOTLESS_MTU is no number, and K3s took its default",
            ),
        ),
        weight=Weight.SURVIVED,
    ),
    Failure(
        "localhost-unknown",
        "`localhost` is unknown inside: kubectl port-forward fails",
        "/etc/hosts of this host has no line for it, and the resolver of the child asks DNS (K3s"
        " #5767)",
        administrator(
            "add it, and restart K3s",
            "printf '127.0.0.1 localhost\\n::1 localhost\\n' | sudo tee -a /etc/hosts",
            RESTART,
        ),
        (sign("lookup localhost on", r"lookup localhost on \S{1,64}: no such host"),),
        weight=Weight.SURVIVED,
        check="net.localhost",
    ),
    Failure(
        "dns",
        "names are not resolved inside",
        "the child asks the host's first nameserver alone, without search domains; it may not"
        " answer there, or not know them",
        own_file(
            "give K3s a file with servers that answer, in place of ADDRESS",
            f"resolv-conf: {_FILE}",
            before=_WRITTEN,
        ),
        (
            sign(
                "lookup ",
                r"lookup (?!localhost on)\S{1,200}?( on [\d.]+:53)?: (no such host|.{0,200}?i/o"
                r" timeout|server misbehaving)",
            ),
            sign("Host resolv.conf", r"Host resolv\.conf includes loopback"),
            sign("Could not resolve host", r"Could not resolve host: \S+"),
        ),
        weight=Weight.NOTE,
        check="net.resolver",
    ),
    Failure(
        "host-loopback",
        "Pods cannot reach services on 127.0.0.1 of the host",
        "K3s keeps them from it unless told otherwise; then the host is 10.41.0.2",
        environment(
            "reach the host by its own address, or allow it",
            "K3S_ROOTLESS_DISABLE_HOST_LOOPBACK=false",
        ),
        (
            sign(
                "connect to remote host (",
                r"can't connect to remote host \([\d.]{7,15}\)",
                weight=Weight.NOTE,
            ),
            sign(
                "disable-host-loopback",
                r"Failed to parse rootless disable-host-loopback value",
                "K3S_ROOTLESS_DISABLE_HOST_LOOPBACK is no boolean, and K3s took its default",
            ),
        ),
        weight=Weight.SURVIVED,
    ),
    Failure(
        "ipv6",
        "IPv6 is only half of a network in rootless K3s",
        "slirp4netns has one fixed IPv6 network, and its port driver none",
        environment("stay with IPv4, or ask for both", "K3S_ROOTLESS_ENABLE_IPV6=true"),
        (
            sign("same IP version", r"must share the same IP version"),
            sign("unsupported IP (v6?)", r"unsupported IP \(v6\?\)", weight=Weight.SURVIVED),
            sign(
                "enable-ipv6",
                r"Failed to parse rootless enable-ipv6 value",
                "K3S_ROOTLESS_ENABLE_IPV6 is no boolean, and K3s took its default",
                weight=Weight.SURVIVED,
            ),
        ),
    ),
    Failure(
        "ping",
        "ping is not allowed",
        "net.ipv4.ping_group_range leaves the user's group out",
        administrator("allow it", "sudo sysctl -w net.ipv4.ping_group_range='0 2147483647'"),
        (sign("ping: ", r"ping: (permission denied|socket: Operation not permitted)"),),
        weight=Weight.NOTE,
        check="sysctl.ping",
    ),
    Failure(
        "no-default-route",
        "there is no default route",
        "rootless K3s is given one by slirp4netns, so this is said by a K3s with root, or the"
        " child's network was not made",
        user("start K3s anew, as its rootless unit", RESTART),
        (sign("no default routes found", r"no default routes found in"),),
        check="net.route",
    ),
)
