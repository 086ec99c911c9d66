"""Failures of host ports and forwards."""

from __future__ import annotations

from k3s_rootless.journal.catalogue.entry import RESTART, Failure, Weight, environment, sign, user

FAILURES = (
    Failure(
        "supervisor-port",
        "the port 6444 of 127.0.0.1, which K3s uses inside, cannot be had: {why}",
        "another K3s runs in the same namespace, or the loopback device is down",
        user("end the other one", "k3s-rootless status", "ps -fu $(id -u)"),
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
        "the address of the API server inside of the cluster does not answer: {why}",
        "the rules that lead to it are missing: modules of iptables, or a changed"
        " --https-listen-port",
        user("start K3s anew; where it stays, look at the modules and the port", RESTART),
        (
            sign(
                "dial tcp 10.43.0.1:443",
                r"dial tcp 10\.43\.0\.1:443: (?P<why>i/o timeout|connect: .{1,60})",
            ),
        ),
        weight=Weight.SURVIVED,
    ),
    Failure(
        "stale-state",
        "rootlesskit's state of an earlier start is in the way",
        "after SIGKILL or a power cut, K3s leaves its state directory as it was, and never clears"
        " it itself",
        user(
            "with K3s stopped, take the leftovers away; the lock stays",
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
    ),
    Failure(
        "forward-failed",
        "K3s cannot make all forwards: {why}",
        "a port of this host is taken; K3s tries the forwards in no order, and those behind the"
        " busy one wait",
        user("see which program holds the port, and free it", "k3s-rootless ports"),
        (
            sign(
                "handler rootlessports: ",
                r"error syncing '_all_': handler rootlessports: (?P<why>.{1,600}?)(,"
                r" requeuing|\"?$)",
            ),
            sign(
                "signed by unknown authority",
                r"x509: certificate signed by unknown authority",
                "another API server answered, or one with another authority",
                weight=Weight.NOTE,
            ),
        ),
        weight=Weight.SURVIVED,
        check="net.port",
    ),
    Failure(
        "address-taken",
        "an address that K3s needs is taken: {address}",
        "another program listens there: another K3s, k3d, kind or minikube",
        user("see which program holds the port, and free it", "k3s-rootless ports"),
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
        "a forward that is as it should be: ports up to 1024 are moved up by 10000",
        "K3s forwards the ports of LoadBalancer Services alone; port 80 answers on 10080",
        user("see what is reached where", "k3s-rootless ports"),
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
        "requests come from an address of the child network",
        "the port driver `builtin` dials anew from inside, and the client's address is lost",
        environment(
            "use the other driver: slower, IPv4 alone", "K3S_ROOTLESS_PORT_DRIVER=slirp4netns"
        ),
        (
            sign(
                "Unsupported port driver",
                r"Unsupported port driver (?P<driver>\S{1,64}); using default builtin",
                "K3S_ROOTLESS_PORT_DRIVER names no driver: {driver}",
            ),
        ),
        weight=Weight.SURVIVED,
    ),
    Failure(
        "state-locked",
        "another K3s of this user holds {path}",
        "each user can run one rootless K3s; a second one finds the state directory locked",
        user("stop the other one", "k3s-rootless status", "ps -fu $(id -u)"),
        (
            sign(
                "another RootlessKit is running",
                r"failed to lock (?P<path>\S{1,300}?), another RootlessKit is running",
            ),
        ),
    ),
    Failure(
        "multi-node",
        "this K3s tried to write where only root may",
        "it was started without --rootless, or as an agent: several nodes are not supported without"
        " root",
        user("run it as the unit that k3s-rootless writes", "k3s-rootless up"),
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
