"""Tests of K3s's sub-commands, a shell and images in the real namespaces of a lab."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import Tool
from tests.lab.fixtures import fresh
from tests.machine import HOME, TOOL, Machine
from tests.node.images import archives

pytestmark = pytest.mark.lab
_DATA = HOME / ".rancher/k3s"
_STATE = _DATA / "rootless"
_STORE = _DATA / "agent/containerd/standin-images.json"
_WRONG = {"KUBECONFIG": "/nowhere", "K3S_DATA_DIR": "/nowhere", "K3S_URL": "https://127.0.0.1:1"}


@pytest.fixture(scope="module")
def used(lab: Machine) -> Tool:
    """Return the tool in a lab in which K3s runs; no test of this module stops it."""
    fresh(lab)
    tool = Tool(lab)
    tool.up().check_returncode()
    return tool


@pytest.fixture
def restored(used: Tool) -> Iterator[Tool]:
    """Yield the tool to a test that stops K3s, and start K3s again."""
    yield used
    used.up().check_returncode()


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        ("kubectl get nodes", r"^\S+$"),
        ("token list", "^TOKEN +TTL"),
        ("token create", "^K10"),
        ("secrets-encrypt status", "^Encryption Status"),
        ("certificate check", "client-admin.crt.* is ok"),
        ("check-config", "Verifying binaries in /home/alice/.rancher/k3s"),
        ("completion bash", "_cli_bash_autocomplete"),
        ("crictl images -o json", "mirrored-pause"),
        ("ctr images ls", "mirrored-pause"),
        ("crictl logs abc", "log of abc"),
        ("--version", "^k3s version v"),
    ],
)
def test_a_subcommand_works_whatever_the_environment_names(
    used: Tool, words: str, printed: str
) -> None:
    done = used("k3s", *words.split(), env=_WRONG)

    assert 0 == done.returncode, done.stderr
    assert re.search(printed, done.stdout + done.stderr, re.MULTILINE)


def test_the_error_and_the_exit_code_of_k3s_are_kept(used: Tool) -> None:
    done = used("k3s", "etcd-snapshot", "ls")

    assert 1 == done.returncode
    assert "etcd datastore disabled" in done.stderr + done.stdout


def test_a_token_is_rotated_with_the_token_of_the_data_directory(used: Tool) -> None:
    done = used("k3s", "token", "rotate", "--new-token", "abc")

    assert 0 == done.returncode, done.stderr
    assert "Token rotated" in done.stdout


def test_nothing_is_unpacked_inside(used: Tool) -> None:
    used("k3s", "crictl", "ps").check_returncode()

    assert 0 != used("shell", "--", "ls", "/var/lib/rancher/k3s").returncode


@pytest.mark.parametrize("name", ["server", "agent"])
def test_a_second_server_is_refused(used: Tool, name: str) -> None:
    done = used("k3s", name)

    assert 125 == done.returncode
    assert "hint: use: k3s-rootless up" in done.stderr


def test_certificates_in_use_are_not_removed(used: Tool) -> None:
    done = used("k3s", "certificate", "rotate")

    assert 125 == done.returncode
    assert "hint: stop K3s first: k3s-rootless down" in done.stderr


def test_options_of_the_program_are_not_ours(used: Tool) -> None:
    done = used("k3s", "token", "list", "--json", "--kubeconfig", "/nowhere")

    assert 1 == done.returncode
    assert "/nowhere" in done.stderr + done.stdout
    assert 125 == used("shell", "--no-such-option").returncode


def test_a_program_runs_in_the_namespaces_of_k3s(used: Tool) -> None:
    child = used.machine.user("cat", str(_STATE / "child_pid")).stdout.strip()
    names = [f"/proc/{{}}/ns/{name}" for name in ("user", "mnt", "net", "pid")]
    expected = used.machine.root("readlink", *(name.format(child) for name in names)).stdout

    done = used("shell", "--", "readlink", *(name.format("self") for name in names))

    assert expected == done.stdout
    assert 9 == used("shell", "--", "sh", "-c", "exit 9").returncode
    assert 127 == used("shell", "--", "no-such-program").returncode


def test_a_shell_has_the_clients_of_k3s_and_its_kubeconfig(used: Tool) -> None:
    script = "crictl images -o json; ctr images ls; kubectl get nodes; echo $KUBECONFIG; pwd"

    done = used("shell", "--", "sh", "-ec", script, env={"KUBECONFIG": "/nowhere"})

    assert 0 == done.returncode, done.stderr
    assert 2 == done.stdout.count("mirrored-pause:3.6")
    assert f"{HOME}/.kube/k3s.yaml\n{HOME}\n" in done.stdout


def test_a_pipe_through_a_shell_is_complete(used: Tool) -> None:
    script = f"head -c 200000000 /dev/zero | tr '\\0' x | {TOOL} shell -- cat | md5sum"
    plain = "head -c 200000000 /dev/zero | tr '\\0' x | md5sum"

    found = used.machine.user("sh", "-c", f"{script}; {plain}").stdout.split()

    assert found[0] == found[2]


def test_another_process_is_not_entered(used: Tool) -> None:
    """The file can name a process of another program, for example after a reboot."""
    script = (
        f"cd {_STATE}; cp child_pid kept; chmod 644 child_pid; echo $$ > child_pid;"
        f" {TOOL} shell -- true; code=$?; cat kept > child_pid; rm kept; exit $code"
    )

    done = used.machine.user("sh", "-c", script)

    assert 125 == done.returncode
    assert "is not in the control group of the unit" in done.stderr


def test_a_program_can_be_stopped_and_continued_on_a_terminal(used: Tool) -> None:
    program = f"{TOOL} shell -- sh -c 'echo be''gun; read line; echo got $line'"
    shell = ("env", "PS1=ready> ", "script", "-qec", "bash --norc --noediting -i", "/dev/null")
    with used.machine.popen(*shell) as process:
        _type(process, f"{program}\n", "begun")
        _type(process, "\x1a", "Stopped")
        _type(process, "fg\n", "shell -- sh")
        _type(process, "hello\n", "got hello")
        _type(process, "exit\n", "")
        process.wait()


def _type(process: subprocess.Popen[str], text: str, until: str) -> None:
    assert process.stdin
    assert process.stdout
    process.stdin.write(text)
    process.stdin.flush()
    seen = ""
    while until not in seen:
        character = process.stdout.read(1)
        assert character, seen
        seen += character


def put(tool: Tool, name: str, content: bytes) -> None:
    text = base64.b64encode(content).decode()
    tool.machine.user("sh", "-c", f"base64 -d > {name}", stdin=text).check_returncode()


def listed(tool: Tool) -> dict[str, Any]:
    return {one["names"][0]: one for one in tool.json("images", "list")["images"]}


def test_archives_of_each_form_are_imported(used: Tool) -> None:
    put(used, "plain.tar", archives.docker("plain:1"))
    put(used, "small.tar.gz", archives.gzipped(archives.docker("quay.io/a/small:1")))
    put(
        used,
        "oci.tar.zst",
        archives.zstandard(archives.oci([{"io.containerd.image.name": "x/y:1"}])),
    )

    done = used("images", "import", "plain.tar", "small.tar.gz", "oci.tar.zst")

    names = ["docker.io/library/plain:1", "quay.io/a/small:1", "x/y:1"]
    assert 0 == done.returncode, done.stderr
    assert [f"imported {name}" for name in names] == done.stdout.splitlines()
    assert "plain.tar from this host: 1.0 MiB of 1.0 MiB (100%)" in done.stderr
    assert set(names) <= set(listed(used))
    shown = json.loads(used.machine.user("cat", str(_STORE)).stdout)["images"]
    assert {"fuse-overlayfs"} == {shown[name]["unpacked"] for name in names}


def test_an_archive_is_imported_from_a_pipe(used: Tool) -> None:
    put(used, "piped.tar", archives.docker("piped:latest"))

    done = used.machine.user("sh", "-c", f"cat piped.tar | {TOOL} images import - --json")

    document = json.loads(done.stdout)
    assert ["docker.io/library/piped:latest"] == document["names"]
    assert "has the tag `latest`" in document["warnings"][0]


def test_an_image_of_podman_is_imported(used: Tool) -> None:
    put(used, "saved.tar", archives.docker("localhost/built:1"))
    script = f'test "$*" = "save --format docker-archive -- built:1" && cat {HOME}/saved.tar'
    program = f"#!/bin/sh\n{script}\n"
    used.machine.user("mkdir", "-p", "bin").check_returncode()
    used.machine.user("tee", "bin/podman", stdin=program).check_returncode()
    used.machine.user("chmod", "755", "bin/podman").check_returncode()
    path = {"PATH": f"{HOME}/bin:/usr/bin:/bin"}

    done = used("images", "import", "--from", "podman", "built:1", env=path)

    assert (0, "imported localhost/built:1\n") == (done.returncode, done.stdout)
    failed = used("images", "import", "--from", "podman", "other:1", env=path)
    assert 1 == failed.returncode
    assert "hint: list the images that it has: podman images" in failed.stderr


def test_a_program_that_is_not_installed_is_named(used: Tool) -> None:
    done = used("images", "import", "--from", "docker", "app:1", env={"PATH": "/nowhere"})

    assert 1 == done.returncode
    assert "error: cannot get `app:1` from docker: cannot run `docker save" in done.stderr
    assert "hint: install docker, or import an archive" in done.stderr


@pytest.mark.parametrize("content", [b"<html>" * 900, archives.docker("cut:1")[:700_000]])
def test_a_file_that_is_no_complete_archive_changes_nothing(used: Tool, content: bytes) -> None:
    put(used, "bad.tar", content)
    before = listed(used)

    done = used("images", "import", "bad.tar")

    assert 1 == done.returncode
    assert "error: cannot import `bad.tar`: " in done.stderr
    assert before == listed(used)


def test_only_images_that_nothing_needs_are_removed(used: Tool) -> None:
    put(used, "many.tar", archives.docker("used:1", "unused:1", "preloaded:1"))
    used("images", "import", "many.tar").check_returncode()
    put(used, "preloaded.tar", archives.docker("preloaded:1"))
    used("images", "preload", "preloaded.tar").check_returncode()
    _let_a_container_use(used, "docker.io/library/used:1")

    refused = used("images", "prune")
    planned = used.json("images", "prune", "--dry-run")
    done = used("images", "prune", "--yes")

    assert 2 == refused.returncode
    assert "hint: remove them without a question: k3s-rootless images prune --yes" in refused.stderr
    assert "docker.io/library/unused:1" in [one["names"][0] for one in planned["removed"]]
    assert 0 == done.returncode, done.stderr
    assert "removed docker.io/library/unused:1" in done.stdout
    left = listed(used)
    pause = "docker.io/rancher/mirrored-pause:3.6"
    assert {pause, "docker.io/library/used:1", "docker.io/library/preloaded:1"} == set(left)
    assert ["default/web-1"] == left["docker.io/library/used:1"]["used_by"]
    assert "nothing to remove\n" == used("images", "prune").stdout


def _let_a_container_use(tool: Tool, image: str) -> None:
    labels = {"io.kubernetes.pod.name": "web-1", "io.kubernetes.pod.namespace": "default"}
    kept = json.loads(tool.machine.user("cat", str(_STORE)).stdout)
    kept["containers"] = [{"id": "abc", "image": {"image": image}, "labels": labels}]
    tool.machine.user("tee", str(_STORE), stdin=json.dumps(kept)).check_returncode()


def test_an_archive_is_placed_complete_for_the_next_start(used: Tool) -> None:
    put(used, "early", archives.gzipped(archives.docker("early:1")))
    place = _DATA / "agent/images/early.tar.gz"

    first = used("images", "preload", "early")
    again = used("images", "preload", "early")
    put(used, "early", archives.gzipped(archives.docker("early:2")))
    other = used("images", "preload", "early")
    forced = used("images", "preload", "early", "--force")

    assert f"K3s imports {place} now, and at each start\n" in first.stdout
    assert "contains docker.io/library/early:1" in first.stdout
    assert "nothing to do" in again.stdout
    assert 7 == other.returncode
    assert 0 == forced.returncode
    assert "early:2" in forced.stdout
    found = used.machine.user("ls", "-A", str(place.parent), str(place.parent.parent)).stdout
    assert ".k3s-rootless" not in found


def test_a_stopped_k3s_lists_nothing_and_can_be_preloaded(restored: Tool) -> None:
    restored("down").check_returncode()
    put(restored, "late.tar", archives.docker("late:1"))

    done = restored("images", "list")
    preloaded = restored("images", "preload", "late.tar")

    assert 3 == done.returncode
    assert "K3s is not running" in done.stderr
    assert "at its next start" in preloaded.stdout


def test_a_program_ends_with_k3s(restored: Tool) -> None:
    with restored.machine.popen(TOOL, "shell", "--", "sh", "-c", "echo begun; sleep 1000") as one:
        assert one.stdout
        assert one.stderr
        assert "begun\n" == one.stdout.readline()

        restored("down").check_returncode()

        assert 125 == one.wait()
        assert "error: K3s stopped" in one.stderr.read()


def test_a_stopped_k3s_is_reported_with_the_command_that_starts_it(restored: Tool) -> None:
    restored("down").check_returncode()

    for words in (("shell",), ("k3s", "crictl", "ps"), ("k3s", "token", "list")):
        done = restored(*words)
        assert 125 == done.returncode
        assert "K3s is not running" in done.stderr
        assert "hint: start it with: k3s-rootless up" in done.stderr
    assert 0 == restored("k3s", "token", "generate").returncode
    assert 0 == restored("k3s", "crictl", "--help").returncode


def test_pods_end_before_k3s_stops(restored: Tool) -> None:
    pod = {
        "metadata": {"name": "slow", "annotations": {"k3s-standin/ends-after": "1"}},
        "spec": {"nodeName": "node"},
    }
    script = (
        'exec curl -sS --fail --cacert "$1/server-ca.crt" --cert "$1/client-admin.crt" --key'
        ' "$1/client-admin.key" -H "Content-Type: application/json" -d "$2" "$3"'
    )
    url = "https://127.0.0.1:6443/api/v1/namespaces/default/pods"
    tls = str(HOME / ".rancher/k3s/server/tls")
    restored.machine.user("sh", "-c", script, "sh", tls, json.dumps(pod), url).check_returncode()

    gently = restored("down", "--grace")
    restored.up().check_returncode()
    at_once = restored("down")

    assert 0 == gently.returncode, gently.stderr
    assert "waiting at most 40 s for 1 Pod (default/slow) to end" in gently.stderr
    assert "all Pods have ended" in gently.stderr
    assert "to let them end first, use: k3s-rootless down --grace" in at_once.stderr
    assert "kills all Pods at once" not in gently.stderr
