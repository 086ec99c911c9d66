"""Failures of settings, certificates and the datastore."""

from __future__ import annotations

from k3s_rootless.journal.catalogue.entry import RESTART, Failure, Weight, environment, sign, user

FAILURES = (
    Failure(
        "config-unreadable",
        "{path} is there, and this user may not read it",
        "K3s reads the host's configuration file in rootless mode too, and dies when it cannot",
        environment(
            # K3s also dies if the file that this variable names does not exist.
            "have K3s read a file of your own",
            "K3S_CONFIG_FILE=%h/.config/k3s/config.yaml",
            "mkdir -p ~/.config/k3s && touch ~/.config/k3s/config.yaml",
        ),
        (
            sign(
                "/etc/rancher/k3s/config.yaml",
                r"open (?P<path>/etc/rancher/k3s/config\.yaml(\.d)?[^\s:]{0,200}): permission"
                r" denied",
            ),
        ),
        check="config.readable",
    ),
    Failure(
        "config-malformed",
        "K3s's configuration file is no YAML: {why}",
        "K3s reads /etc/rancher/k3s/config.yaml, or the file that K3S_CONFIG_FILE names, before all"
        " else",
        user("mend the file", "systemctl --user show k3s-rootless.service --property=Environment"),
        (
            sign(
                "yaml: ",
                r'level=fatal msg="(?:Error: )?yaml: (?P<why>[^"]{1,200})',
            ),
        ),
        check="config.syntax",
    ),
    Failure(
        "flag-unknown",
        "this K3s does not know the option {flag}",
        "it is misspelt, of another release, or of `k3s agent`; the unit, a drop-in or a"
        " configuration file names it",
        user(
            "take it out",
            "systemctl --user cat k3s-rootless.service",
            "systemctl --user edit k3s-rootless.service   # ExecStart= and ExecStart=..."
            " without it",
            RESTART,
        ),
        (
            sign(
                "flag provided but not defined",
                r"flag provided but not defined: (?P<flag>-[\w.-]{1,100})",
            ),
            sign(
                "flag needs an argument",
                r"flag needs an argument: (?P<flag>-[\w.-]{1,100})",
                "the option {flag} of K3s lacks its value",
            ),
            sign(
                "for flag -",
                r"invalid value .{1,200}? for flag (?P<flag>-[\w.-]{1,100})",
                "the option {flag} of K3s has a value that it does not take",
            ),
            sign(
                "invalid boolean value",
                r"invalid boolean value .{1,200}? for (?P<flag>-[\w.-]{1,100})",
                "the option {flag} of K3s is switched on or off, and takes no other value",
            ),
        ),
        check="config.options",
    ),
    Failure(
        "datastore-damaged",
        "K3s cannot read its datastore: {why}",
        "the SQLite file server/db/state.db is damaged; K3s tries to open it again every second,"
        " without end, while its unit stays active",
        user(
            "put a good copy of state.db in its place, without its state.db-wal and state.db-shm;"
            " without a copy, these commands keep the damaged files, and K3s starts with an empty"
            " cluster",
            "systemctl --user stop k3s-rootless.service",
            "mv ~/.rancher/k3s/server/db ~/.rancher/k3s/server/db.damaged-$(date +%s)",
            "k3s-rootless up",
        ),
        (
            sign(
                "Failed to ping database connection",
                r"Failed to ping database connection: (?P<why>file is not a database|database disk"
                r" image is malformed)",
            ),
            sign(
                "disk image is malformed",
                r"(?P<why>database disk image is malformed)",
                weight=Weight.SURVIVED,
            ),
        ),
        waits="port",
    ),
    Failure(
        "kubeconfig-unwritable",
        "K3s cannot write its kubeconfig {path}: {why}",
        "K3s writes this file at each start, and exits if it cannot; a kubectl that was run with"
        " sudo can leave files of root",
        user(
            "look at the owner and the mode of the directory and of the file, and make them yours"
            " to write",
            "ls -ld ~/.kube ~/.kube/k3s.yaml",
        ),
        (
            sign(
                "Failed to generate kubeconfig",
                r'Failed to generate kubeconfig: (?:open|mkdir) (?P<path>[^"]{1,300}?): (?P<why>[\w'
                r' ]{1,60})"?$',
            ),
            sign(
                "/.kube/k3s.yaml: ",
                r"open (?P<path>/[^:\"]{0,300}/\.kube/k3s\.yaml): "
                r"(?P<why>permission denied|read-only file system|is a directory)",
            ),
        ),
    ),
    Failure(
        "datastore-token",
        "the datastore belongs to another token, or to another node",
        "K3S_TOKEN or the host's name changed, or another release was skipped",
        user(
            "restore the token or the datastore; to begin anew, and lose the cluster, take"
            " ~/.rancher/k3s/server away",
            "cat ~/.rancher/k3s/server/token",
        ),
        (
            sign(
                "bootstrap data already found",
                r"bootstrap data already found and encrypted with different token",
                check="config.token",
            ),
            sign("failed to normalize", r"failed to normalize (server|agent) token"),
            sign("Node password rejected", r"Node password rejected", weight=Weight.SURVIVED),
        ),
    ),
    Failure(
        "credentials-port",
        "K3s's own kubeconfigs name port {port}, and no API server listens there",
        "https-listen-port changed after K3s issued its certificates: K3s writes"
        " server/cred/*.kubeconfig only with them",
        user("restart K3s, which renews its certificates first (k3s certificate rotate)", RESTART),
        (
            sign(
                "request-header-client-ca-file",
                r"exited: unable to load configmap based request-header-client-ca-file: Get"
                r" [\\\"]{1,8}"
                r"https://[^/\s]{1,60}:(?P<port>\d{1,5})/",
            ),
        ),
        check="config.certificates",
    ),
    Failure(
        "pod-network-changed",
        "the node has the pod network {pods}, which is not in the cluster-cidr {network}",
        "cluster-cidr counts for a new cluster only: a node keeps its network",
        user(
            "give K3s the cluster-cidr that the cluster began with",
            "k3s-rootless check config.networks",
            RESTART,
        ),
        (
            sign(
                "is out the range of cluster cidr",
                r"cidr (?P<pods>[^\s\"]{1,60}) is out the range of cluster cidr"
                r" (?P<network>[^\s\"\\]{1,60})",
            ),
        ),
        check="config.networks",
    ),
    Failure(
        "service-network-changed",
        "the Service {service} has an address outside the service-cidr {network}",
        "service-cidr counts for a new cluster only: Services keep their addresses",
        user(
            "give K3s the service-cidr that the cluster began with",
            "k3s-rootless check config.networks",
            RESTART,
        ),
        (
            sign(
                "is not within the service CIDR",
                r"cluster IP [^\s\"]{1,60} for service (?P<service>[^\s\"]{1,120}) is not within"
                r" the service CIDR "
                r"(?P<network>[^\s\";]{1,60})",
            ),
            sign(
                "does not match the controller flag",
                r"The default ServiceCIDR \[(?P<range>[^\s\]]{1,60})\] does not match the"
                r" controller flag "
                r"configurations \[(?P<network>[^\s\]]{1,60})\]",
                "the Services have addresses of {range}, and the service-cidr is {network}",
            ),
        ),
        weight=Weight.SURVIVED,
        check="config.networks",
    ),
    Failure(
        "clock",
        "a certificate is not valid at this time: {now} is {relation} {limit}",
        "the clock is wrong, or K3s was off for more than a year; certificates are renewed at a"
        " start",
        user("set the clock right, then start K3s anew", "timedatectl", RESTART),
        (
            sign(
                "not yet valid: current time",
                r"x509: certificate has expired or is not yet valid: current time"
                r" (?P<now>\S{1,40}) is "
                r"(?P<relation>before|after) (?P<limit>\S{1,40}?)\"?$",
            ),
            sign(
                "not yet valid",
                r"x509: certificate has expired or is not yet valid",
                "a certificate is not valid at this time",
            ),
        ),
        weight=Weight.SURVIVED,
        check="host.clock",
    ),
    Failure(
        "kubeconfig-wrong",
        "kubectl reads another kubeconfig than that of rootless K3s",
        "`k3s kubectl` prefers /etc/rancher/k3s/k3s.yaml wherever it exists; rootless K3s writes"
        " ~/.kube/k3s.yaml",
        user("name the right one", "export KUBECONFIG=~/.kube/k3s.yaml"),
        (
            sign("Unable to read /etc", r"Unable to read /etc/rancher/k3s/k3s\.yaml"),
            sign("error loading config file", r'error loading config file "[^"]{1,300}"'),
            sign("localhost:8080", r"connection to the server localhost:8080 was refused"),
        ),
        weight=Weight.NOTE,
    ),
    Failure(
        "containerd-socket",
        "containerd's socket is not where a client looked for it",
        "in rootless K3s it is in the child's namespace, and at"
        " $XDG_RUNTIME_DIR/k3s/containerd/containerd.sock",
        user(
            "run the client in the namespaces of K3s; there, k3s needs the PID namespace and K3s's"
            " data directory as well",
            "K3S_DATA_DIR=~/.rancher/k3s nsenter -U --preserve-credentials -m -n -p "
            "-t $(cat ~/.rancher/k3s/rootless/child_pid) k3s crictl ps",
        ),
        (
            # In each start, also in a successful one, K3s itself names the socket and waits for it.
            sign(
                "k3s/containerd/containerd.sock",
                r'msg="(Running|Waiting for) containerd\b(?!.{0,600}too many open files)',
                weight=Weight.BENIGN,
            ),
            sign("k3s/containerd/containerd.sock", r'msg="Running kubelet ', weight=Weight.BENIGN),
            sign(
                "k3s/containerd/containerd.sock",
                r"/run/k3s/containerd/containerd\.sock(?!.{0,100}too many open)",
            ),
        ),
        weight=Weight.NOTE,
    ),
)
