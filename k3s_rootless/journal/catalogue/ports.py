"""Failures of host ports and forwards."""

from __future__ import annotations

from k3s_rootless.journal.catalogue.entry import RESTART, Failure, Weight, environment, sign, user

FAILURES = (
    Failure(
        "supervisor-port",
        "K3s cannot listen on 127.0.0.1:6444, which it uses internally: {why}",
        "another K3s runs in the same network namespace, or the loopback interface is down",
        user("stop the other K3s", "k3s-rootless status", "ps -fu $(id -u)"),
        (
            sign(
                "127.0.0.1:6444",
                r"127\.0\.0\.1:6444: bind: (?P<why>address already in use|cannot assign requested"
                r" address)",
            ),
        ),
    ),
    Failure(
        "service-network",
        "the cluster address of the API server does not answer: {why}",
        "the rules for this address are missing, because iptables modules are missing or"
        " --https-listen-port was changed",
        user("restart K3s; if the error remains, check the modules and the port", RESTART),
        (
            sign(
                "dial tcp 10.43.0.1:443",
                r"dial tcp 10\.43\.0\.1:443: (?P<why>i/o timeout|connect: .{1,60})",
            ),
        ),
        weight=Weight.SURVIVED,
        transient=True,
    ),
    Failure(
        "stale-state",
        "stale files of an earlier start are in the state directory of rootlesskit",
        "after SIGKILL or a power failure, K3s leaves its state directory unchanged, and never"
        " clears it",
        user(
            "stop K3s and remove the stale files, except the lock",
            "systemctl --user stop k3s-rootless.service",
            "rm -f ~/.rancher/k3s/rootless/{child_pid,api.sock,.bp.sock,.bp-ready.pipe,.s4nn.sock}",
            "k3s-rootless up",
        ),
        (
            sign(
                "rootless/.bp.sock",
                r"rootless/\.bp\.sock: (connect: connection refused|bind: address already in use)",
            ),
            sign(
                "write the child PID", r"failed to write the child PID \d+ to \S{1,300}?child_pid"
            ),
            sign(
                "rootless/api.sock",
                r"rootless/api\.sock: connect: connection refused",
                weight=Weight.SURVIVED,
            ),
        ),
        check="storage.leftovers",
        transient=True,
    ),
    Failure(
        "forward-failed",
        "K3s cannot create all forwards: {why}",
        "a port of this host is in use; K3s creates forwards in no fixed order, and those after"
        " the failed one wait",
        user("find the program that uses the port, and free the port", "k3s-rootless ports"),
        (
            sign(
                "handler rootlessports: ",
                r"error syncing '_all_': handler rootlessports: (?P<why>.{1,600}?)(,"
                r" requeuing|\"?$)",
            ),
            sign(
                "signed by unknown authority",
                r"x509: certificate signed by unknown authority",
                "another API server answered, or one with another certificate authority",
                weight=Weight.NOTE,
            ),
        ),
        weight=Weight.SURVIVED,
        check="net.port",
    ),
    Failure(
        "address-taken",
        "an address that K3s needs is in use: {address}",
        "another program listens there, for example another K3s, k3d, kind or minikube",
        user("find the program that uses the port, and free the port", "k3s-rootless ports"),
        (
            sign(
                "bind: address already in use",
                r"listen \w+ (?P<address>\S{1,300}?): bind: address already in use",
            ),
        ),
        weight=Weight.SURVIVED,
        check="net.port",
    ),
    Failure(
        "port-offset",
        "ports up to 1024 are forwarded with an offset of 10000, as intended",
        "K3s forwards only the ports of LoadBalancer Services; port 80 is reachable at port 10080",
        user("list the forwarded ports", "k3s-rootless ports"),
        (
            sign(
                "Bound parent port",
                r"Bound parent port [^:\s]{0,64}:\d+(/(tcp|udp))? to child namespace port \d+",
            ),
            sign("Removed parent port", r"Removed parent port :?\d+"),
            sign(
                "cannot expose privileged port",
                r"cannot expose privileged port \d+",
                weight=Weight.SURVIVED,
            ),
        ),
        weight=Weight.BENIGN,
    ),
    Failure(
        "source-address",
        "requests arrive with an address of the child network",
        "the port driver `builtin` opens a new connection inside, so the address of the client is"
        " lost",
        environment(
            "use the port driver slirp4netns, which is slower and supports IPv4 only",
            "K3S_ROOTLESS_PORT_DRIVER=slirp4netns",
        ),
        (
            sign(
                "Unsupported port driver",
                r"Unsupported port driver (?P<driver>\S{1,64}); using default builtin",
                "K3S_ROOTLESS_PORT_DRIVER names an unknown driver: {driver}",
            ),
        ),
        weight=Weight.SURVIVED,
    ),
    Failure(
        "state-locked",
        "another K3s of the same user uses {path}",
        "each user can run one rootless K3s, which locks its state directory",
        user("stop the other K3s", "k3s-rootless status", "ps -fu $(id -u)"),
        (
            sign(
                "another RootlessKit is running",
                r"failed to lock (?P<path>\S{1,300}?), another RootlessKit is running",
            ),
        ),
    ),
    Failure(
        "multi-node",
        "K3s tried to write to a directory that requires root",
        "K3s was started without --rootless, or as an agent; several nodes are not supported"
        " without root",
        user("run K3s as the unit that k3s-rootless writes", "k3s-rootless up"),
        (
            sign(
                "extracting data: ",
                r"extracting data: mkdir /var/lib/rancher\S{0,300}?: permission denied",
            ),
            sign(
                "must run as root unless", r"must run as root unless --disable-agent is specified"
            ),
        ),
    ),
)
