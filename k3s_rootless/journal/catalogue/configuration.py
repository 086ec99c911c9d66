"""Failures of settings, certificates and the datastore."""

from __future__ import annotations

from k3s_rootless.journal.catalogue.entry import RESTART, Failure, Weight, environment, sign, user

FAILURES = (
    Failure(
        "config-unreadable",
        "{path} exists, but this user cannot read it",
        "rootless K3s also reads the configuration file of the host, and exits if it cannot",
        environment(
            # K3s also exits if the file that this variable names does not exist.
            "use a configuration file of your own",
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
        "the configuration file of K3s is not valid YAML: {why}",
        "K3s reads /etc/rancher/k3s/config.yaml, or the file that K3S_CONFIG_FILE names, before"
        " anything else",
        user(
            "correct the file; this command shows whether the unit sets K3S_CONFIG_FILE",
            "systemctl --user show k3s-rootless.service --property=Environment",
        ),
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
        "the option is misspelled, or belongs to another release or to `k3s agent`; the unit, a"
        " drop-in or a configuration file sets it",
        user(
            "remove the option",
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
                "the option {flag} of K3s has no value",
            ),
            sign(
                "for flag -",
                r"invalid value .{1,200}? for flag (?P<flag>-[\w.-]{1,100})",
                "the option {flag} of K3s has an invalid value",
            ),
            sign(
                "invalid boolean value",
                r"invalid boolean value .{1,200}? for (?P<flag>-[\w.-]{1,100})",
                "the option {flag} of K3s accepts only true or false",
            ),
        ),
        check="config.options",
    ),
    Failure(
        "datastore-damaged",
        "K3s cannot read its datastore: {why}",
        "the SQLite file server/db/state.db is damaged; K3s tries to open it every second without"
        " end, while its unit stays active",
        user(
            "replace state.db with a good copy, and remove state.db-wal and state.db-shm; without"
            " a copy, these commands keep the damaged files, and K3s starts with an empty cluster",
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
        check="storage.datastore",
        waits="port",
        effect=True,
    ),
    Failure(
        "datastore-unreachable",
        "K3s cannot open its datastore: {why}",
        "K3s tries again every second without end, while its unit stays active; a file of another"
        " user, a mode without access, or a copy of root's files are the usual reasons",
        user(
            "check the owner and the mode of the files, and make them yours",
            "ls -l ~/.rancher/k3s/server/db",
            RESTART,
        ),
        (
            sign(
                "Failed to ping database connection",
                r"Failed to ping database connection: (?P<why>[^\"]{1,200})",
            ),
        ),
        check="storage.datastore",
        waits="port",
    ),
    Failure(
        "kubeconfig-unwritable",
        "K3s cannot write its kubeconfig {path}: {why}",
        "K3s writes this file at each start, and exits if it cannot; running kubectl with sudo"
        " can leave files that belong to root",
        user(
            "check the owner and the mode of the directory and the file, and make both writable"
            " for you",
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
        "the datastore belongs to another token or another node",
        "K3S_TOKEN or the host name changed, or an upgrade skipped a release",
        user(
            "restore the token or the datastore; to delete the cluster and start with an empty"
            " one, move ~/.rancher/k3s/server away",
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
        "the internal kubeconfigs of K3s name port {port}, but no API server listens there",
        "https-listen-port was changed after K3s issued its certificates; K3s writes"
        " server/cred/*.kubeconfig only together with the certificates",
        user(
            "restart K3s; this command first renews the certificates (k3s certificate rotate)",
            RESTART,
        ),
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
        "the node has the Pod network {pods}, which is outside the cluster-cidr {network}",
        "cluster-cidr applies to new clusters only: an existing node keeps its Pod network",
        user(
            "set cluster-cidr to the value that the cluster was created with",
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
        "service-cidr applies to new clusters only: existing Services keep their addresses",
        user(
            "set service-cidr to the value that the cluster was created with",
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
                "the Services have addresses in {range}, but the service-cidr is {network}",
            ),
        ),
        weight=Weight.SURVIVED,
        check="config.networks",
    ),
    Failure(
        "clock",
        "a certificate is not valid at this time: {now} is {relation} {limit}",
        "the clock is wrong, or K3s was stopped for more than a year; K3s renews certificates"
        " only when it starts",
        user("correct the clock, then restart K3s", "timedatectl", RESTART),
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
        "certificate-expired",
        "a certificate of K3s has expired",
        "K3s issues certificates for a year, and renews them only when it starts; the clock of this"
        " host is right",
        user("restart K3s, which renews its certificates", RESTART, "k3s-rootless certs list"),
        (),
        weight=Weight.SURVIVED,
        check="config.expiry",
        same_lines_as="clock",
    ),
    Failure(
        "kubeconfig-wrong",
        "kubectl does not use the kubeconfig of rootless K3s",
        "`k3s kubectl` prefers /etc/rancher/k3s/k3s.yaml if it exists; rootless K3s writes"
        " ~/.kube/k3s.yaml",
        user("select the kubeconfig of rootless K3s", "export KUBECONFIG=~/.kube/k3s.yaml"),
        (
            sign("Unable to read /etc", r"Unable to read /etc/rancher/k3s/k3s\.yaml"),
            sign("error loading config file", r'error loading config file "[^"]{1,300}"'),
            sign("localhost:8080", r"connection to the server localhost:8080 was refused"),
        ),
        weight=Weight.NOTE,
    ),
    Failure(
        "containerd-socket",
        "a client did not find the socket of containerd",
        "in rootless K3s, the socket is in the child namespace, at"
        " $XDG_RUNTIME_DIR/k3s/containerd/containerd.sock",
        user(
            "run the client in the namespaces of K3s",
            "k3s-rootless k3s crictl ps",
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
