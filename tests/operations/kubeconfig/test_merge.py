from __future__ import annotations

import os
import stat

import pytest

from k3s_rootless.cluster.kubeconfig import copies, lock
from k3s_rootless.cluster.kubeconfig.facts import fingerprint
from k3s_rootless.errors import (
    NotRunning,
    PreflightFailed,
    RootlessError,
    UsageError,
    WouldOverwrite,
)
from k3s_rootless.operations.kubeconfig import document as documents
from tests.largest_file import largest_file
from tests.operations.kubeconfig.conftest import THEIRS, Host, document, names

OURS = "k3s-rootless"


def test_our_entries_are_added_and_all_else_is_kept(host: Host) -> None:
    path = host.own()

    merged = host.merge()

    text = path.read_text()
    assert (True, path, "work") == (merged.changed, merged.file, merged.current)
    assert [] == [line for line in THEIRS.splitlines() if line not in text.splitlines()]
    assert {
        "clusters": ["work", "home", OURS],
        "contexts": ["work", "home", OURS],
        "users": ["alice", OURS],
    } == names(path)
    theirs = host.cluster.document()
    found = document(path)
    assert theirs["clusters"][0]["cluster"].items() <= found["clusters"][2]["cluster"].items()
    assert theirs["users"][0]["user"].items() <= found["users"][1]["user"].items()
    assert [path.name, "k3s.yaml"] == sorted(one.name for one in path.parent.iterdir())


def test_only_the_user_can_read_a_file_with_our_key(host: Host) -> None:
    path = host.own()
    path.chmod(0o644)

    host.merge(dry_run=True)
    assert 0o644 == stat.S_IMODE(path.stat().st_mode)
    host.merge()
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)

    path.chmod(0o664)
    assert host.merge().changed
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    reason = "it has the key of an administrator of the cluster"
    assert [
        f"{path} would be readable by you only (mode 0600, not 0644): {reason}",
        f"{path} is now readable by you only (mode 0600, not 0644): {reason}",
        f"{path} is now readable by you only (mode 0600, not 0664): {reason}",
    ] == host.notices


def test_a_file_without_our_key_keeps_its_mode(host: Host) -> None:
    first, second = host.own(path=host.home / "a"), host.own("{}", host.home / "b")
    host.merge(into=second)
    first.chmod(0o644)

    host.environ["KUBECONFIG"] = f"{first}:{second}"
    host.merge(switch=True)

    assert OURS == document(first)["current-context"]
    assert [0o644, 0o600] == [stat.S_IMODE(one.stat().st_mode) for one in (first, second)]


def test_a_second_merge_writes_nothing(host: Host) -> None:
    path = host.own()
    host.merge()
    before = path.stat()

    merged = host.merge()

    assert not merged.changed
    assert before.st_ino == path.stat().st_ino
    assert not documents.of_merged(merged)["changed"]


def test_a_first_kubeconfig_is_created_and_its_context_is_the_current_one(host: Host) -> None:
    merged = host.merge()

    assert (OURS, host.config, []) == (merged.current, merged.file, host.notices)
    assert OURS == document(host.config)["current-context"]
    assert 0o600 == stat.S_IMODE(host.config.stat().st_mode)


@pytest.mark.parametrize(("switch", "current"), [(True, OURS), (False, "work"), (None, "work")])
def test_the_current_context_is_changed_on_request(
    host: Host,
    switch: bool | None,  # noqa: FBT001 (a parameter of the test)
    current: str,
) -> None:
    path = host.own()

    assert current == host.merge(switch=switch).current == document(path)["current-context"]


def test_without_a_switch_a_new_file_has_no_current_context(host: Host) -> None:
    assert "" == host.merge(switch=False).current
    assert "current-context" not in document(host.config)


def test_a_dry_run_changes_nothing(host: Host) -> None:
    path = host.own()

    assert host.merge(dry_run=True).changed
    assert THEIRS == path.read_text()
    assert () == copies.read(host.context.paths.own)


def test_entries_of_another_author_are_replaced_only_on_request(host: Host) -> None:
    path = host.own(THEIRS.replace("home", OURS))
    before = path.read_text()

    with pytest.raises(WouldOverwrite, match="they are not from k3s-rootless") as refused:
        host.merge()
    assert refused.value.hint
    assert "--context NAME" in refused.value.hint
    assert before == path.read_text()

    host.merge(overwrite=True)
    assert "https://127.0.0.1:6443" == document(path)["clusters"][1]["cluster"]["server"]
    host.merge(name="other")
    assert ["work", OURS, "other"] == names(path)["contexts"]


def test_edited_certificates_are_replaced_only_on_request(host: Host) -> None:
    path = host.own()
    host.merge()
    key = document(path)["users"][1]["user"]["client-key-data"]
    path.write_text(path.read_text().replace(key, "bWluZQ=="))

    with pytest.raises(WouldOverwrite, match="certificates were edited"):
        host.merge()
    host.merge(overwrite=True)
    assert key == document(path)["users"][1]["user"]["client-key-data"]


def test_choices_of_the_user_survive_a_refresh(host: Host) -> None:
    path = host.own()
    host.merge()
    path.write_text(
        path.read_text()
        .replace("https://127.0.0.1:6443\n  name", "https://host.example:6443\n  name")
        .replace("    user: k3s-rootless", "    namespace: dev\n    user: k3s-rootless")
    )
    host.rotate()

    assert host.merge().changed
    found = document(path)
    assert "https://host.example:6443" == found["clusters"][2]["cluster"]["server"]
    assert "dev" == found["contexts"][2]["context"]["namespace"]
    fields = (
        found["clusters"][2]["cluster"]["certificate-authority-data"],
        found["users"][1]["user"]["client-certificate-data"],
        found["users"][1]["user"]["client-key-data"],
    )
    (copy,) = copies.read(host.context.paths.own)
    assert fingerprint(*fields) == copy.fingerprint


def test_several_files_count_as_one(host: Host) -> None:
    first, second = host.own(path=host.home / "a"), host.own("{}", host.home / "b")
    host.environ["KUBECONFIG"] = f"{host.home}/missing:{second}:{first}"
    host.merge()
    assert [OURS] == names(second)["contexts"]
    assert "current-context" not in document(second)

    host.environ["KUBECONFIG"] = f"{first}:{second}"
    host.rotate()
    host.merge()
    assert [OURS] == names(second)["contexts"]
    assert THEIRS == first.read_text()


def test_a_link_stays_a_link(host: Host) -> None:
    (host.home / "dotfiles").mkdir()
    target = host.own(path=host.home / "dotfiles/kubeconfig")
    host.config.symlink_to("../dotfiles/kubeconfig")

    host.merge()

    assert host.config.is_symlink()
    assert OURS in names(target)["contexts"]


def test_json_stays_json(host: Host) -> None:
    path = host.own(
        '{\n    "kind": "Config",\n    "clusters": null,\n    "current-context": "x"\n}\n'
    )

    host.merge()

    text = path.read_text()
    assert text.startswith('{\n    "kind": "Config",\n    "clusters": [\n        {\n')
    assert text.endswith("}\n")
    assert [OURS] == names(path)["users"]


HIDDEN = "c2VjcmV0LXNlY3JldA=="


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"users: [{HIDDEN}\n", "not valid YAML (line 2)"),
        (f"users:\n\t{HIDDEN}: 1\n", "not valid YAML (line 2)"),
        (f"users: {{{HIDDEN}: 1}}\n", "its `users` is not a list"),
        (f"- {HIDDEN}\n", "it is not a mapping"),
        (f"users: [{HIDDEN}]\n", "an element of its `users` is not a mapping"),
        (f"kind: {HIDDEN}\n", "its `kind` is not `Config`"),
        (f"current-context: [{HIDDEN}]\n", "its `current-context` is not a string"),
        (f"clusters: &a []\ncontexts: *a\nx: {HIDDEN}\n", "not valid YAML"),
        (f"a: {HIDDEN}\na: {HIDDEN}\n", "cannot be changed without a loss"),
        ("x: " + "[" * 100 + "]" * 100 + f" # {HIDDEN}", "not valid YAML"),
        (f"a: 1\n---\nb: {HIDDEN}\n", "not valid YAML"),
    ],
    ids=range(11),
)
def test_a_malformed_target_is_kept_and_never_printed(host: Host, text: str, reason: str) -> None:
    path = host.own(text)

    with pytest.raises(RootlessError) as refused:
        host.merge()

    assert f"cannot change `{path}`: " in refused.value.message
    assert reason in refused.value.message
    assert HIDDEN not in f"{refused.value.message}{refused.value.hint}"
    assert text == path.read_text()


def test_a_text_that_is_not_utf8_is_kept(host: Host) -> None:
    host.config.write_bytes("kind: Config # é".encode("utf-16"))

    with pytest.raises(RootlessError, match="cannot change"):
        host.merge()


def test_k3s_own_file_is_refused(host: Host) -> None:
    host.environ["KUBECONFIG"] = str(host.k3s)
    before = host.k3s.read_bytes()
    with pytest.raises(UsageError, match="K3s writes this file again at each start") as refused:
        host.merge()
    assert "--into ~/.kube/config" in (refused.value.hint or "")
    host.config.symlink_to("k3s.yaml")
    with pytest.raises(UsageError, match="again at each start"):
        host.merge(into=host.config)
    assert before == host.k3s.read_bytes()

    host.config.unlink()
    host.environ["KUBECONFIG"] = ":"
    with pytest.raises(UsageError, match="KUBECONFIG names no file"):
        host.merge()


@pytest.mark.parametrize("name", ["", "-x", "a\nb", "x" * 300], ids=range(4))
def test_a_name_that_cannot_be_used(host: Host, name: str) -> None:
    with pytest.raises(UsageError, match="as the name of a context"):
        host.merge(name=name)


@pytest.mark.parametrize("name", ["null", "1", "a: b", "é", "a: - x", "yes", "1e3", "~", "😀"])
def test_a_name_that_yaml_would_read_as_something_else(host: Host, name: str) -> None:
    host.merge(name=name)

    assert [name] == names(host.config)["contexts"]
    assert not host.merge(name=name).changed


def test_without_a_kubeconfig_of_k3s(host: Host) -> None:
    host.k3s.unlink()
    with pytest.raises(NotRunning, match="does not exist"):
        host.merge()
    assert not host.config.exists()


def test_files_that_another_user_owns_or_could_change(host: Host) -> None:
    foreign = host.own()
    if os.geteuid() != 0 and not os.access("/root", os.W_OK):
        pytest.skip("needs root")
    os.chown(foreign, 12345, -1)
    with pytest.raises(PreflightFailed, match="belongs to uid 12345"):
        host.merge()
    foreign.unlink()

    open_to_all = host.home / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    for path in (host.own(path=open_to_all / "config"), open_to_all / "new"):
        with pytest.raises(PreflightFailed, match="every user can write"):
            host.merge(into=path)


@pytest.mark.parametrize("kind", ["directory", "pipe", "loop", "large"])
def test_a_target_that_is_no_kubeconfig(host: Host, kind: str) -> None:
    match kind:
        case "directory":
            host.config.mkdir()
        case "pipe":
            os.mkfifo(host.config)
        case "loop":
            host.config.symlink_to("config")
        case _:
            with host.config.open("wb") as file:
                file.truncate(5 * 1024 * 1024)

    with pytest.raises(RootlessError, match=r"cannot (change|read|lock)"):
        host.merge()


@pytest.mark.parametrize("bytes_", [8, 64, 1000])
def test_a_full_disk_changes_nothing(host: Host, bytes_: int) -> None:
    """The lock, the record and the kubeconfig have more bytes than the limits allow, in turn."""
    path = host.own()
    with largest_file(bytes_), pytest.raises(RootlessError, match="file too large"):
        host.merge()

    assert THEIRS == path.read_text()
    assert ["config", "k3s.yaml"] == sorted(one.name for one in path.parent.iterdir())
    assert host.merge().changed


def test_a_lock_of_another_program_is_removed_only_after_consent(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = host.own()
    monkeypatch.setattr(lock, "SECONDS", 0.0)
    held = path.with_name("config.lock")
    os.close(os.open(held, os.O_CREAT | os.O_EXCL, 0))

    with pytest.raises(lock.LockHeld, match="exists") as refused:
        host.merge()
    assert f"rm -f {held}" in (refused.value.hint or "")
    assert THEIRS == path.read_text()
    with pytest.raises(lock.LockHeld):
        host.merge(lambda _: False)
    assert held.exists()

    assert host.merge(lambda _: True).changed
    assert not held.exists()
