"""The arguments and the environment of programs that are run with K3s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from k3s_rootless.k3s import config_file, features, layout
from k3s_rootless.node.facts import (
    IMAGE_SOCKET,
    SOCKET,
    Invocation,
    Need,
    Place,
    Subcommand,
    Surroundings,
)

NO_CONFIG = "/dev/null"
"""An empty configuration file.

Otherwise each sub-command reads that of a K3s with root on the same host (K3s pkg/configfilearg),
and `data-dir` in it would name another data directory.
"""
PROMPT = "(k3s-rootless) "
_SHELL = "/bin/sh"
_BIN_OF_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FISH_PROMPT = (
    "functions --copy fish_prompt _k3s_rootless_prompt; function fish_prompt;"
    f" echo -n '{PROMPT}'; _k3s_rootless_prompt; end"
)


def of_subcommand(
    entry: Subcommand, words: Sequence[str], found: Surroundings, environ: Mapping[str, str]
) -> Invocation:
    """Return how to run a sub-command of K3s with these words."""
    if entry.place is Place.NAMESPACES:
        return Invocation(_inside(words, found), {**environ, **_of_node(found)}, inside=True)
    given = dict(_of_host(entry, found))
    return Invocation((found.program, *_with_server(entry, words, found)), {**environ, **given})


def of_shell(words: Sequence[str], found: Surroundings, environ: Mapping[str, str]) -> Invocation:
    """Return how to run a program inside the namespaces; the user's shell without words."""
    inside = {**environ, **_of_node(found), "KUBECONFIG": str(found.kubeconfig)}
    if found.unpacked is not None:
        inside["PATH"] = f"{found.unpacked}:{environ.get('PATH') or _BIN_OF_SYSTEM}"
    if found.etcd:
        inside |= _of_etcd(found)
    if words:
        return Invocation(tuple(words), inside, inside=True)
    shell = environ.get("SHELL", "")
    if not shell.startswith("/"):
        shell = _SHELL
    return _with_prompt(shell, inside)


def _inside(words: Sequence[str], found: Surroundings) -> tuple[str, ...]:
    # As root of the user namespace, `k3s` uses /var/lib/rancher/k3s, and unpacks itself there, in
    # the memory of the host. Releases that do not read K3S_DATA_DIR are not started through it.
    release = found.release
    reads = release is None or features.DATA_DIR_VARIABLE.holds(release)
    if reads or found.unpacked is None:
        return (found.program, *words)
    return (str(found.unpacked / words[0]), *words[1:])


def _of_host(entry: Subcommand, found: Surroundings) -> Mapping[str, str]:
    given = {"K3S_DATA_DIR": str(found.data), config_file.VARIABLE: NO_CONFIG}
    if Need.CONFIG in entry.needs and found.config:
        given[config_file.VARIABLE] = found.config
    if Need.KUBECONFIG in entry.needs:
        given["KUBECONFIG"] = str(found.kubeconfig)
    if Need.SERVER in entry.needs:
        given["K3S_URL"] = _address(found)
    if Need.TOKEN in entry.needs and found.token:
        # `k3s token rotate` reads the token of the default data directory only.
        given["K3S_TOKEN"] = found.token
    return given


def _of_node(found: Surroundings) -> Mapping[str, str]:
    given = {
        "K3S_DATA_DIR": str(found.data),
        config_file.VARIABLE: NO_CONFIG,
        "CONTAINERD_ADDRESS": SOCKET,
        "CONTAINERD_NAMESPACE": "k8s.io",
        "CONTAINERD_SNAPSHOTTER": found.snapshotter,
        "CONTAINER_RUNTIME_ENDPOINT": f"unix://{SOCKET}",
        "CRI_CONFIG_FILE": str(found.data / layout.CRICTL_CONFIGURATION),
    }
    if found.snapshotter == "stargz":
        # K3s before v1.34.10, v1.35.7 and v1.36.3 writes another address to the file (f6d226eaf).
        given["IMAGE_SERVICE_ENDPOINT"] = f"unix://{IMAGE_SOCKET}"
    return given


def _of_etcd(found: Surroundings) -> Mapping[str, str]:
    certificates = found.data / layout.TLS / "etcd"
    return {
        "ETCDCTL_API": "3",
        "ETCDCTL_ENDPOINTS": "https://127.0.0.1:2379",
        "ETCDCTL_CACERT": str(certificates / "server-ca.crt"),
        "ETCDCTL_CERT": str(certificates / "client.crt"),
        "ETCDCTL_KEY": str(certificates / "client.key"),
    }


def _with_server(entry: Subcommand, words: Sequence[str], found: Surroundings) -> Sequence[str]:
    if Need.ETCD not in entry.needs:
        return words
    # The option belongs to the second word, and the parser of K3s ends at the first argument.
    at = 1
    if words[1:] and not words[1].startswith("-"):
        at = 2
    return (*words[:at], f"--etcd-server={_address(found)}", *words[at:])


def _address(found: Surroundings) -> str:
    return f"https://127.0.0.1:{found.port}"


def _with_prompt(shell: str, environ: Mapping[str, str]) -> Invocation:
    """Return a shell with a prompt that names the cluster."""
    name = shell.rpartition("/")[2]
    if name == "bash":
        # Bash reads its files first, which set PS1, and runs this before its first prompt.
        prompt = {"PROMPT_COMMAND": f"PS1='{PROMPT}'\"$PS1\"; unset PROMPT_COMMAND"}
        return Invocation((shell,), {**environ, **prompt}, inside=True)
    if name == "fish":
        return Invocation((shell, "--init-command", _FISH_PROMPT), environ, inside=True)
    ends = {"zsh": "%~ %# "}
    return Invocation((shell,), {**environ, "PS1": PROMPT + ends.get(name, "# ")}, inside=True)
