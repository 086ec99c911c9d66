from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.k3s.version import Version, parse
from k3s_rootless.node import invocation, subcommands
from k3s_rootless.node.facts import Invocation, Need, Place, Surroundings
from tests.node import subcommands_page

HOME = Path("/home/alice")
TOKEN = "K10abc::server:secret"  # noqa: S105 (not a real one)


def release(text: str) -> Version:
    found = parse(text)
    assert found
    return found


def surroundings(
    *, release_text: str = "v1.36.3+k3s1", etcd: bool = False, token: str = ""
) -> Surroundings:
    return Surroundings(
        program="/usr/local/bin/k3s",
        release=release(release_text),
        running=True,
        home=HOME,
        data=HOME / "data",
        kubeconfig=HOME / ".kube/k3s.yaml",
        port=7443,
        snapshotter="fuse-overlayfs",
        config="/home/alice/k3s.yaml",
        unpacked=HOME / "data/data/abc/bin",
        etcd=etcd,
        token=token,
    )


def invoked(*words: str, release_text: str = "v1.36.3+k3s1", token: str = "") -> Invocation:
    entry = subcommands.find(words)
    found = surroundings(release_text=release_text, token=token)
    return invocation.of_subcommand(entry, words, found, {"PATH": "/bin"})


@pytest.mark.parametrize(
    ("words", "place", "needs"),
    [
        ("kubectl get pods", Place.HOST, {Need.KUBECONFIG, Need.RUNNING}),
        ("kubectl config view", Place.HOST, {Need.KUBECONFIG}),
        ("crictl ps -a", Place.NAMESPACES, {Need.RUNNING}),
        ("--debug ctr images ls", Place.NAMESPACES, {Need.RUNNING}),
        ("token list", Place.HOST, {Need.KUBECONFIG, Need.RUNNING}),
        ("token generate", Place.HOST, set()),
        ("certificate check", Place.HOST, set()),
        ("certificate rotate", Place.HOST, {Need.STOPPED}),
        ("certificate rotate-ca --path x", Place.HOST, {Need.SERVER, Need.RUNNING}),
        ("secrets-encrypt status", Place.HOST, {Need.SERVER, Need.RUNNING}),
        ("etcd-snapshot ls", Place.HOST, {Need.ETCD, Need.CONFIG, Need.RUNNING}),
        ("check-config", Place.HOST, set()),
        ("completion bash", Place.HOST, set()),
        ("server --rootless", Place.NOWHERE, set()),
        ("--version", Place.HOST, set()),
        ("new-in-some-release", Place.HOST, set()),
    ],
)
def test_each_subcommand_has_its_place_and_its_needs(
    words: str, place: Place, needs: set[Need]
) -> None:
    found = subcommands.find(words.split())

    assert (place, needs) == (found.place, set(found.needs))


@pytest.mark.parametrize("words", [("server",), ("agent", "--server", "x")])
def test_a_second_server_or_an_agent_is_refused_with_the_command_to_use(
    words: tuple[str, ...],
) -> None:
    with pytest.raises(UsageError) as refused:
        subcommands.require(subcommands.find(words), words, None)

    assert "use: k3s-rootless up" == refused.value.hint


@pytest.mark.parametrize(
    ("words", "lacks", "has"),
    [
        ("token list", "v1.26.1+k3s1", "v1.26.2+k3s1"),
        ("token rotate", "v1.28.2+k3s1", "v1.28.3+k3s1"),
        ("certificate check", "v1.29.3+k3s1", "v1.29.4+k3s1"),
        ("certificate rotate", "v1.21.7+k3s1", "v1.21.8+k3s1"),
        ("completion zsh", "v1.21.14+k3s1", "v1.24.1+k3s1"),
        ("etcd-snapshot save", "v1.25.16+k3s4", "v1.30.0+k3s1"),
        ("secrets-encrypt status", "v1.21.7+k3s1", "v1.36.3+k3s1"),
    ],
)
def test_a_subcommand_that_the_release_lacks_is_refused(words: str, lacks: str, has: str) -> None:
    entry = subcommands.find(words.split())

    subcommands.require(entry, words.split(), release(has))
    subcommands.require(entry, words.split(), None)
    with pytest.raises(RootlessError, match="does not have it without root"):
        subcommands.require(entry, words.split(), release(lacks))


def test_a_command_on_the_host_gets_the_files_of_this_k3s() -> None:
    found = invoked("token", "list")

    assert ("/usr/local/bin/k3s", "token", "list") == found.argv
    assert {
        "PATH": "/bin",
        "K3S_DATA_DIR": "/home/alice/data",
        "K3S_CONFIG_FILE": "/dev/null",
        "KUBECONFIG": "/home/alice/.kube/k3s.yaml",
    } == found.environ
    assert not found.inside


def test_a_command_for_the_server_gets_its_address_and_the_token() -> None:
    found = invoked("token", "rotate", token=TOKEN)

    assert "https://127.0.0.1:7443" == found.environ["K3S_URL"]
    assert TOKEN == found.environ["K3S_TOKEN"]
    assert "secret" not in f"{found.argv}{found!r}"


@pytest.mark.parametrize(
    ("words", "argv"),
    [
        ("etcd-snapshot delete name", "etcd-snapshot delete SERVER name"),
        ("etcd-snapshot", "etcd-snapshot SERVER"),
        ("etcd-snapshot --name x", "etcd-snapshot SERVER --name x"),
    ],
)
def test_the_server_of_snapshots_is_an_option_of_the_second_word(words: str, argv: str) -> None:
    found = invoked(*words.split())

    expected = argv.replace("SERVER", "--etcd-server=https://127.0.0.1:7443").split()
    assert expected == list(found.argv[1:])
    assert "/home/alice/k3s.yaml" == found.environ["K3S_CONFIG_FILE"]


def test_a_command_in_the_namespaces_uses_the_files_and_the_containerd_of_this_k3s() -> None:
    found = invoked("crictl", "images")

    assert found.inside
    assert ("/usr/local/bin/k3s", "crictl", "images") == found.argv
    assert "/home/alice/data" == found.environ["K3S_DATA_DIR"]
    assert "fuse-overlayfs" == found.environ["CONTAINERD_SNAPSHOTTER"]
    assert "/home/alice/data/agent/etc/crictl.yaml" == found.environ["CRI_CONFIG_FILE"]


def test_an_old_release_is_not_started_through_the_program_that_unpacks_itself() -> None:
    found = invoked("ctr", "images", "ls", release_text="v1.27.16+k3s1")

    assert ("/home/alice/data/data/abc/bin/ctr", "images", "ls") == found.argv


@pytest.mark.parametrize(
    ("shell", "argv", "prompt"),
    [
        ("/bin/bash", "/bin/bash", ("PROMPT_COMMAND", "(k3s-rootless) ")),
        ("/usr/bin/zsh", "/usr/bin/zsh", ("PS1", "(k3s-rootless) %~ %# ")),
        ("", "/bin/sh", ("PS1", "(k3s-rootless) # ")),
        ("relative/sh", "/bin/sh", ("PS1", "(k3s-rootless) # ")),
    ],
)
def test_a_shell_names_the_cluster_in_its_prompt(
    shell: str, argv: str, prompt: tuple[str, str]
) -> None:
    found = invocation.of_shell((), surroundings(), {"SHELL": shell, "PATH": "/bin"})

    assert argv == found.argv[0]
    assert prompt[1] in found.environ[prompt[0]]


def test_a_shell_has_the_programs_of_the_running_k3s_first_on_its_path() -> None:
    found = invocation.of_shell(("env",), surroundings(), {"PATH": "/bin", "KUBECONFIG": "/x"})

    assert ("env",) == found.argv
    assert "/home/alice/data/data/abc/bin:/bin" == found.environ["PATH"]
    assert "/home/alice/.kube/k3s.yaml" == found.environ["KUBECONFIG"]
    assert "ETCDCTL_ENDPOINTS" not in found.environ
    assert "PS1" not in found.environ


def test_a_shell_can_reach_embedded_etcd() -> None:
    found = invocation.of_shell((), surroundings(etcd=True), {})

    assert "https://127.0.0.1:2379" == found.environ["ETCDCTL_ENDPOINTS"]
    assert "/home/alice/data/server/tls/etcd/client.key" == found.environ["ETCDCTL_KEY"]


def test_the_page_matches_the_table() -> None:
    written = subcommands_page.PAGE.read_text("utf-8")

    assert subcommands_page.text() == written, "generate it: python -m tests.node.subcommands_page"
