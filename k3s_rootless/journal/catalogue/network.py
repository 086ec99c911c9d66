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
_NO_MTU = environment("set an MTU from 1 to 65521, or remove the variable", "K3S_ROOTLESS_MTU=1500")

FAILURES = (
    Failure(
        "tun",
        "the tap device cannot be created: /dev/net/tun is missing or not accessible",
        "the module tun is not loaded, cannot be loaded since a kernel upgrade, or the container"
        " has no access to the device",
        administrator(
            "load the module, and make the device accessible to all users; if the modules of the"
            " running kernel are gone, reboot",
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
        "slirp4netns was not found in the unit's PATH",
        "the releases of the K3s project include it; builds of distributions expect it on the host",
        administrator(
            "install slirp4netns 1.0 or later in the unit's PATH; if a drop-in sets PATH, remove"
            " that setting",
            "sudo apt-get install slirp4netns",
            "systemctl --user cat k3s-rootless.service",
        ),
        (sign("slirp4netns", r'exec: "slirp4netns": executable file not found'),),
    ),
    Failure(
        "slirp4netns-old",
        "slirp4netns is too old",
        "an old copy on the host is found before the copy that K3s includes",
        administrator(
            "install slirp4netns 1.0 or later, or remove the old copy", "slirp4netns --version"
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
        "slirp4netns exited before it had created the network",
        "its own error is only in the journal with --debug; it can be an MTU or CIDR that"
        " slirp4netns rejects, /dev/net/tun, or seccomp",
        user(
            "check the settings of the unit, then /dev/net/tun",
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
        "kube-proxy is not allowed to set nf_conntrack_max",
        "the kernel forbids it in other network namespaces; K3s sets it only if"
        " --kube-proxy-arg=conntrack-... requests it",
        user(
            "remove conntrack-* from the arguments of kube-proxy",
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
        "kernel modules are missing, and K3s cannot load them without root",
        "K3s with root loads them itself; without br_netfilter, some Pods get no answer from"
        " Services, and without the iptables modules, no Pod does",
        administrator(
            "load the modules at each boot",
            "printf '%s\\n' br_netfilter nf_conntrack overlay tun fuse veth vxlan ip_tables"
            " iptable_nat iptable_filter nf_tables xt_MASQUERADE xt_addrtype xt_comment"
            " xt_conntrack xt_mark xt_multiport xt_nat | sudo tee"
            " /etc/modules-load.d/k3s-rootless.conf",
            "sudo systemctl restart systemd-modules-load",
        ),
        (
            sign(
                "with modprobe",
                "module (?P<module>[\\w-]{1,64})",
                "K3s cannot load the kernel module {module}",
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
                "iptables does not work in the child namespace",
                weight=Weight.SURVIVED,
            ),
            sign(
                "KUBE-ROUTER-",
                r"failed to run iptables command to create KUBE-ROUTER-\S{1,64} chain",
                "iptables does not work in the child namespace",
            ),
        ),
        check="kernel",
    ),
    Failure(
        "cidr-invalid",
        "{cidr} is not a valid network for K3S_ROOTLESS_CIDR",
        "it must be one IPv4 network without host bits and with a prefix length of 1 to 25; IPv6"
        " is not supported",
        environment(
            "set an IPv4 network such as 10.41.0.0/16, or remove the variable",
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
                "the prefix length of K3S_ROOTLESS_CIDR is not within {range}",
            ),
        ),
        check="env.valid",
    ),
    Failure(
        "cidr-overlap",
        "the networks of K3s overlap with another network of this host",
        "the child network (10.41.0.0/16), Pods (10.42.0.0/16) or Services (10.43.0.0/16) contain"
        " addresses of a LAN, a VPN or Docker",
        environment(
            "choose another network for the child namespace", "K3S_ROOTLESS_CIDR=172.31.240.0/24"
        ),
        (
            sign("already routed", r"routes: default CIDRs .{0,300}? already routed"),
            sign("No route to host", r"No route to host", weight=Weight.NOTE),
        ),
        weight=Weight.SURVIVED,
        check="net.cidr",
    ),
    Failure(
        "mtu-invalid",
        "K3S_ROOTLESS_MTU is not a valid MTU",
        "K3s rejects negative numbers, and slirp4netns rejects numbers above 65521; for a value"
        " that is not a number, K3s prints only a warning",
        _NO_MTU,
        (
            sign("negative mtu", r"got negative mtu"),
            sign("MTU must be", r"MTU must be a positive integer"),
        ),
        check="env.valid",
    ),
    Failure(
        "mtu-stalls",
        "transfers stall: the MTU may be too large for the network path",
        "the default of K3s is 65520, which VPNs and PPPoE do not carry; K3s also uses the"
        " default if the value is not a number",
        _NO_MTU,
        (
            sign("TLS handshake timeout", r"net/http: TLS handshake timeout", weight=Weight.NOTE),
            sign(
                "value; using default",
                r"Failed to parse rootless mtu value; using default",
                "K3S_ROOTLESS_MTU is not a number, so K3s uses its default",
            ),
        ),
        weight=Weight.SURVIVED,
    ),
    Failure(
        "localhost-unknown",
        "`localhost` cannot be resolved in the child namespace: kubectl port-forward fails",
        "/etc/hosts of this host has no entry for it, and the resolver in the child namespace"
        " queries DNS (K3s #5767)",
        administrator(
            "add the entry, and restart K3s",
            "printf '127.0.0.1 localhost\\n::1 localhost\\n' | sudo tee -a /etc/hosts",
            RESTART,
        ),
        (sign("lookup localhost on", r"lookup localhost on \S{1,64}: no such host"),),
        weight=Weight.SURVIVED,
        check="net.localhost",
    ),
    Failure(
        "dns",
        "names cannot be resolved in the child namespace",
        "the child namespace uses only the first nameserver of the host, without search domains;"
        " this server may not answer there, or not know the names",
        own_file(
            "use a file with nameservers that answer: replace ADDRESS with the address of one",
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
        "K3s forbids this by default; if it is allowed, the host is reachable at 10.41.0.2",
        environment(
            "use another address of the host, or allow access to 127.0.0.1",
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
                "K3S_ROOTLESS_DISABLE_HOST_LOOPBACK is not a boolean, so K3s uses its default",
            ),
        ),
        weight=Weight.SURVIVED,
    ),
    Failure(
        "ipv6",
        "rootless K3s supports IPv6 only in part",
        "slirp4netns has one fixed IPv6 network, and its port driver does not support IPv6",
        environment("use IPv4 only, or enable both", "K3S_ROOTLESS_ENABLE_IPV6=true"),
        (
            sign("same IP version", r"must share the same IP version"),
            sign("unsupported IP (v6?)", r"unsupported IP \(v6\?\)", weight=Weight.SURVIVED),
            sign(
                "enable-ipv6",
                r"Failed to parse rootless enable-ipv6 value",
                "K3S_ROOTLESS_ENABLE_IPV6 is not a boolean, so K3s uses its default",
                weight=Weight.SURVIVED,
            ),
        ),
    ),
    Failure(
        "ping",
        "ping is not allowed",
        "the user's group is outside net.ipv4.ping_group_range",
        administrator(
            "allow ping for all groups", "sudo sysctl -w net.ipv4.ping_group_range='0 2147483647'"
        ),
        (sign("ping: ", r"ping: (permission denied|socket: Operation not permitted)"),),
        weight=Weight.NOTE,
        check="sysctl.ping",
    ),
    Failure(
        "no-default-route",
        "there is no default route",
        "slirp4netns creates a default route for rootless K3s; without one, K3s runs with root,"
        " or its child network was not created",
        user("restart K3s as its rootless unit", RESTART),
        (sign("no default routes found", r"no default routes found in"),),
        check="net.route",
    ),
)
