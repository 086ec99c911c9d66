"""Log lines of a start of K3s, in its order; the noise between them is benign."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from .journal import Journal, klog
from .release import Release

_NOISE = (
    ("I", "shared_informer.go:313", "Waiting for caches to sync for node_authorizer"),
    (
        "I",
        "plugins.go:157",
        (
            "Loaded 14 mutating admission controller(s) successfully in the following order:"
            " NamespaceLifecycle."
        ),
    ),
    ("W", "genericapiserver.go:767", "Skipping API apps/v1beta2 because it has no resources."),
    ("I", "handler.go:286", "Adding GroupVersion k3s.cattle.io v1 to ResourceManager"),
    ("I", "secure_serving.go:213", "Serving securely on 127.0.0.1:6444"),
    (
        "E",
        "controller.go:156",
        (
            "Unable to remove old endpoints from kubernetes service: no master IPs were listed in"
            " storage"
        ),
    ),
    ("I", "apf_controller.go:374", "Running API Priority and Fairness config worker"),
    ("W", "proxier.go:663", "Failed to load kernel module ip_vs with modprobe."),
    (
        "W",
        "container_manager_linux.go:473",
        "Updating kernel flag failed: kernel/panic: permission denied (running in UserNS)",
    ),
    (
        "I",
        "server.go:777",
        '"Failed to ApplyOOMScoreAdj" err="write /proc/self/oom_score_adj: permission denied"',
    ),
    ("E", "kubelet.go:2291", '"Error getting node" err="node not found"'),
)
_MANIFESTS = (
    "ccm.yaml",
    "coredns.yaml",
    "local-storage.yaml",
    "metrics-server",
    "rolebindings.yaml",
    "traefik.yaml",
)


class Story:
    """Writes the log lines of a start."""

    def __init__(
        self, journal: Journal, release: Release, data_dir: Path, port: int, noise: int
    ) -> None:
        self._journal = journal
        self._release = release
        self._data_dir = data_dir
        self._port = port
        self._noise = self._lines(noise)

    def banner(self) -> None:
        """Log the release that starts, before anything else."""
        self._journal.info(f"Starting k3s {self._release.version} ({self._release.commit8})")

    def starting(self) -> None:
        """Log the start of the server, up to that of the API server."""
        say, tls = self._journal.info, self._data_dir / "server" / "tls"
        say(
            "Configuring sqlite3 database connection pooling: maxIdleConns=2, maxOpenConns=0,"
            " connMaxLifetime=0s, connMaxIdleTime=0s"
        )
        say("Configuring database table schema and indexes, this may take a moment...")
        say("Database tables and indexes are up to date")
        say("Kine available at unix://kine.sock")
        say(
            f"Running kube-apiserver --advertise-port={self._port} --allow-privileged=true"
            f" --anonymous-auth=false --bind-address=127.0.0.1 --client-ca-file={tls}/client-ca.crt"
            " --secure-port=6444"
        )
        self.noise(2)
        for name in ("kube-scheduler", "kube-controller-manager"):
            short = name.removeprefix("kube-").replace("-manager", "")
            kubeconfig = f"{self._data_dir}/server/cred/{short}.kubeconfig"
            say(
                f"Running {name} --bind-address=127.0.0.1 --kubeconfig={kubeconfig}"
                " --profiling=false"
            )
        say("Waiting for API server to become available")

    def written(self, kubeconfig: Path) -> None:
        """Log the token and the kubeconfig."""
        self._journal.info(f"Server node token is available at {self._data_dir}/server/token")
        self._journal.info(
            f"To join server node to cluster: k3s server -s https://10.41.0.100:{self._port} -t"
            " ${SERVER_NODE_TOKEN}"
        )
        self._journal.info(f"Wrote kubeconfig {kubeconfig}")
        self._journal.info("Run: k3s kubectl")
        self.noise(4)

    def running(self, disabled: Collection[str]) -> None:
        """Log that the API server is ready, and write the manifests of packaged components.

        The manifests of disabled components are removed.
        """
        self._journal.info("Kube API server is now running")
        self._journal.info("k3s is up and running")
        for name in _MANIFESTS:
            path = self._data_dir / "server" / "manifests" / name
            if name.removesuffix(".yaml") in disabled:
                path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
                continue
            self._journal.info(f"Writing manifest: {path}")
            if name.endswith(".yaml"):
                path.write_text(f"# {name} of the stand-in\n")
            else:
                path.mkdir(exist_ok=True)
        self._journal.info("Starting k3s.cattle.io/v1, Kind=Addon controller")
        self._journal.info("Starting /v1, Kind=Service controller")

    def kubelet(self, node: str) -> None:
        """Log the components of the agent."""
        agent = self._data_dir / "agent"
        self._journal.info(f"Logging containerd to {agent}/containerd/containerd.log")
        self._journal.info(f"Running containerd -c {agent}/etc/containerd/config.toml")
        self._journal.info("containerd is now running")
        self._journal.info(
            "Running kubelet --cgroup-driver=cgroupfs --feature-gates=KubeletInUserNamespace=true "
            f"--hostname-override={node} --root-dir={agent}/kubelet"
        )
        self._journal.raw(klog("I", "server.go:1191", '"Started kubelet"'))
        self.noise(None)

    def registered(self, node: str) -> None:
        """Log that the Node exists."""
        self._journal.raw(
            klog("I", "kubelet_node_status.go:78", f'"Successfully registered node" node="{node}"')
        )

    def noise(self, count: int | None) -> None:
        """Write `count` lines of the ordered noise, or all that remain."""
        while (count is None or count > 0) and (text := next(self._noise, None)) is not None:
            self._journal.raw(text)
            count = count - 1 if count is not None else None

    @staticmethod
    def _lines(count: int) -> Iterator[str]:
        for number in range(count):
            severity, source, message = _NOISE[number % len(_NOISE)]
            yield klog(severity, source, message)
