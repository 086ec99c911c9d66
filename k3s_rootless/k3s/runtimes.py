"""The container runtimes that K3s knows beside runc.

Source: K3s pkg/agent/containerd/runtimes.go and config_linux.go, and manifests/runtimes.yaml.
"""

from __future__ import annotations

from k3s_rootless.k3s.features import Since

SEARCHED_FIRST = "/usr/local/nvidia/toolkit:/opt/kwasm/bin"
"""K3s searches their programs here, before the PATH."""
PROGRAMS = {
    "nvidia": "nvidia-container-runtime",
    "nvidia-experimental": "nvidia-container-runtime-experimental",
    "nvidia-cdi": "nvidia-container-runtime.cdi",
    "crun": "crun",
    "lunatic": "containerd-shim-lunatic-v1",
    "slight": "containerd-shim-slight-v1",
    "spin": "containerd-shim-spin-v2",
    "wws": "containerd-shim-wws-v1",
    "wasmedge": "containerd-shim-wasmedge-v1",
    "wasmer": "containerd-shim-wasmer-v1",
    "wasmtime": "containerd-shim-wasmtime-v1",
}
"""The program of each runtime; K3s searches them at each start."""
CLASSES = Since.of("v1.29.0+k3s1")
"""K3s creates RuntimeClasses (K3s #8936)."""
WITHOUT_CLASS = frozenset({"nvidia-cdi"})
"""Runtimes that K3s finds, but has no RuntimeClass for."""
