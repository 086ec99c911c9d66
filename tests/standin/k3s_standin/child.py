"""The server: K3s inside the namespaces, from its first log line to its end."""

from __future__ import annotations

import os
import queue
import secrets
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TypeVar

from . import (
    certificates,
    cluster,
    containerd,
    cri,
    datastore,
    faults,
    kept,
    kernel,
    kubeconfig,
    objects,
)
from .agent import SUBDOMAIN, Agent
from .answers import Answerer
from .api import Server
from .control import Control
from .encryption import Encryption
from .etcd import Etcd
from .flags import Flags
from .forwards import Reconciler, RootlessKit
from .health import Gate
from .journal import Fatal, Journal
from .milestones import Milestones
from .orders import Orders
from .passwords import Passwords
from .release import Release
from .resources import Verbs
from .servicelb import ServiceLB
from .story import Story
from .watching import Context

_SAVE_EVERY = 0.5
_DEFECT = 98
_Opened = TypeVar("_Opened")
_DIRECTORIES = (
    "server/cred",
    "server/db",
    "server/manifests",
    "server/static",
    "agent/containerd",
    "agent/etc",
    "agent/images",
    "agent/pod-manifests",
    "logs/pods",
    "logs/containers",
    "cni",
    "kubelet",
    "etc/rancher",
    "storage",
)


class Child:
    """One start of the server."""

    def __init__(self, flags: Flags, orders: Orders, journal: Journal) -> None:
        self._flags = flags
        self._orders = orders
        self._journal = journal
        self._data_dir = flags.data_dir
        self._release = Release(orders.version, orders.commit)
        self._gate = Gate()
        self._ends: queue.SimpleQueue[Fatal | None] = queue.SimpleQueue()
        self._milestones = Milestones(self._data_dir)
        self._story = Story(journal, self._release, self._data_dir, flags.https_port, orders.noise)
        self._save: Callable[[], None] = lambda: None
        self._etcd = Etcd(flags, self._node, journal)
        self._server: Server | None = None
        self._began = time.monotonic()

    def run(self) -> int:
        """Run the server until it fails or gets SIGTERM, and return the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, lambda *_: self._spawn(self._close_api))
        self._milestones.mark("child-started")
        faults.arm(self._orders, self._gate, self._journal, self._milestones, self._ends.put)
        self._spawn(self._start)
        fatal = self._ends.get()
        self._gate.stopping.set()
        self._save()
        self._etcd.stop()
        if fatal is not None:
            self._milestones.mark("fatal", message=fatal.message)
            self._journal.die(fatal)
            return fatal.code
        self._milestones.mark("stopping")
        time.sleep(self._orders.stop_delay)
        return self._orders.stop_exit

    def _start(self) -> None:
        self._check_release()
        if self._flags.rootless:
            kernel.enter_own_cgroup()
        kept.check_token(self._flags, self._release)
        make_tree(self._data_dir, kept.given_token(self._flags))
        if self._flags.rootless:
            kernel.bind_directories(self._data_dir)
            self._containerd = cri.serve(cri.SOCKET.parent)
            snapshotter = [*self._flags.values("snapshotter"), "overlayfs"][0]
            containerd.render(self._data_dir, snapshotter)
            if self._release.covers_kernel_log:
                kernel.cover_kernel_log()
        self._story.banner()
        if self._flags.switch("cluster-reset"):
            self._etcd.reset(self._flags.text("cluster-reset-restore-path"))
            self._ends.put(None)
            return
        self._etcd.start()
        datastore.open_(self._data_dir, self._orders.version, self._journal, self._sleep)
        self._story.starting()
        context = self._serve()
        faults.require_files(self._data_dir, self._release)
        self._sleep(self._orders.kubeconfig_delay)
        written = self._write_kubeconfig(context)
        self._milestones.mark("kubeconfig")
        self._story.written(written)
        self._sleep(self._orders.ready_delay)
        self._gate.ready.set()
        self._milestones.mark("readyz")
        self._story.running(self._flags.values("disable"))
        self._refuse_other_settings()
        self._start_controllers(context)
        if not self._flags.switch("disable-agent"):
            Agent(self._flags, self._orders, context, self._milestones, self._story).run()

    def _write_kubeconfig(self, context: Context) -> Path:
        try:
            return kubeconfig.write(self._flags, context.certificates)
        except kubeconfig.Unwritable as error:
            self._journal.error(f"Failed to generate kubeconfig: {error}")
            self._journal.info("Shutdown request received")
            raise Fatal(f"Error: {error}") from None

    def _check_release(self) -> None:
        if not self._orders.known_bad or not self._flags.rootless:
            return
        if self._release.evacuation_broken:
            raise Fatal(
                "failed to evacuate root cgroup: mkdir /sys/fs/cgroup/init: read-only file system"
            )
        if self._release.extraction_broken:
            raise Fatal("extracting data: mkdir /var/lib/rancher: permission denied")

    def _refuse_other_settings(self) -> None:
        fatal = kept.refusal(self._flags, self._release)
        if fatal is not None:
            self._sleep(self._orders.refusal_delay)
            raise fatal

    def _serve(self) -> Context:
        name = self._node
        # The library that issues certificates accepts no other names.
        names = (name,) if SUBDOMAIN.fullmatch(name) else ()
        issued = certificates.prepare(
            self._data_dir / "server" / "tls", names, self._flags.inner_port
        )
        kept.keep_api_service(self._flags)
        state, left = cluster.load(self._state)
        verbs = Verbs(state)
        context = Context(
            state,
            verbs,
            self._gate,
            self._release,
            issued,
            self._journal,
            watch_timeout=self._orders.watch_timeout,
            control=self._control(state),
        )
        self._fill(state, verbs, left)
        for node in cluster.kept_nodes(self._state) if self._orders.keep_node else ():
            state.put("nodes", node)
        self._sleep(self._began + self._orders.delay - time.monotonic())
        # The port of the API server itself, inside the supervisor of K3s.
        port, inner = self._flags.https_port, self._flags.inner_port
        self._inner = self._listening(
            lambda: socket.create_server(("127.0.0.1", inner)), "127.0.0.1", inner
        )
        address = ("0.0.0.0", port)  # noqa: S104 (as K3s)
        server = self._listening(lambda: Server(address, context), "", port)
        self._server = server
        self._spawn(server.serve_forever)
        self._milestones.mark("api-up")
        return context

    def _control(self, state: cluster.Cluster) -> Control:
        seconds = self._orders.reencrypt_delay
        encryption = Encryption(self._flags, self._release, state, self._journal, seconds)
        return Control(Passwords(self._flags), encryption, self._etcd)

    @property
    def _node(self) -> str:
        return self._flags.text("node-name") or socket.gethostname().lower()

    def _close_api(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def _listening(self, opened: Callable[[], _Opened], host: str, port: int) -> _Opened:
        try:
            return opened()
        except OSError as error:
            why = f"listen tcp {host}:{port}: bind: {(error.strerror or '').lower()}"
            raise self._release.last_message(
                f"starting kubernetes: preparing server: {why}"
            ) from None

    def _fill(self, state: cluster.Cluster, verbs: Verbs, left: list[cluster.Object]) -> None:
        disabled = self._flags.values("disable")
        for item in objects.namespaces():
            state.put("namespaces", item)
        for item in objects.deployments(disabled):
            state.put("deployments", item)
        ordered = objects.ordered_services(self._orders)
        own = [*objects.built_in_services(self._flags.https_port, disabled), *ordered]
        for item in [*(left if self._orders.keep else []), *own]:
            namespace = item["metadata"]["namespace"]
            if state.get("namespaces", "", namespace) is None:
                state.put("namespaces", objects.namespace(namespace))
            verbs.admit(item)

    def _start_controllers(self, context: Context) -> None:
        state, stopping = context.cluster, self._gate.stopping
        answerer = Answerer(context.certificates.ingress)
        balancer = ServiceLB(
            state,
            answerer,
            self._journal,
            enabled=self._flags.servicelb,
            delay=self._orders.lb_delay,
            pending=self._orders.pending,
        )
        self._spawn(lambda: answerer.run(stopping))
        self._spawn(lambda: balancer.run(stopping))
        self._spawn(lambda: self._keep(state))
        if self._flags.rootless:
            self._spawn(lambda: self._forward(state))

    def _forward(self, state: cluster.Cluster) -> None:
        path = Path(os.environ["ROOTLESSKIT_STATE_DIR"]) / "api.sock"
        while not path.exists():
            self._journal.info(
                f"Waiting for rootless API socket {path}: stat {path}: no such file or directory"
            )
            self._sleep(0.2)
        port, enabled = self._flags.https_port, self._flags.servicelb
        api = RootlessKit(path)
        reconciler = Reconciler(
            state, api, self._journal, self._release, https_port=port, servicelb=enabled
        )
        reconciler.run(self._gate.stopping, lambda: self._milestones.mark("forwards"))

    def _keep(self, state: cluster.Cluster) -> None:
        saved = state.version
        self._save = lambda: cluster.save(self._state, state, objects.ORDERED)
        while not self._gate.stopping.wait(_SAVE_EVERY):
            if state.version != saved:
                saved = state.version
                self._save()

    @property
    def _state(self) -> Path:
        return self._data_dir / "server" / "db" / "standin.json"

    def _sleep(self, seconds: float) -> None:
        if self._gate.stopping.wait(max(0.0, seconds)):
            raise SystemExit

    def _spawn(self, target: Callable[[], None]) -> None:
        threading.Thread(target=self._guard, args=(target,), daemon=True).start()

    def _guard(self, target: Callable[[], None]) -> None:
        try:
            target()
        except Fatal as fatal:
            self._ends.put(fatal)
        # A defect of the stand-in must end it visibly, whatever the exception.
        except Exception as error:  # noqa: BLE001
            trace = "".join(traceback.format_exception(error))
            self._ends.put(Fatal(f"defect of the k3s stand-in: {trace}", code=_DEFECT))

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if not self._orders.ignore_term:
            self._ends.put(None)


def make_tree(data_dir: Path, password: str = "") -> None:
    """Create the tree of the data directory with the modes of K3s, and the token.

    The password is random unless it is given.
    """
    for name in ("server", "agent", "cni", "kubelet", "logs", "etc"):
        (data_dir / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in _DIRECTORIES:
        (data_dir / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    token = data_dir / "server" / "token"
    password = kept.token_of(password) or secrets.token_hex(16)
    if not token.exists():
        certificates.write_private(
            token, f"K10{secrets.token_hex(32)}::server:{password}\n".encode()
        )
    link = data_dir / "server" / "node-token"
    if not link.is_symlink():
        link.symlink_to(token)
