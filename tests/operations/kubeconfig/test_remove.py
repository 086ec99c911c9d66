from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.cluster.kubeconfig import copies
from k3s_rootless.operations.kubeconfig import document as documents
from k3s_rootless.operations.kubeconfig import remove as removing
from k3s_rootless.operations.kubeconfig.removed import Removed
from tests.operations.kubeconfig.conftest import THEIRS, Host, document, names

OURS = "k3s-rootless"


def removed(host: Host, *, dry_run: bool = False) -> Removed:
    return removing.remove(host.context, lambda _: None, dry_run=dry_run)


def test_exactly_our_entries_are_removed(host: Host) -> None:
    path = host.own()
    before = document(path)
    host.merge()

    done = removed(host)

    assert [(path, (OURS,), None)] == [(one.file, one.contexts, one.current) for one in done.files]
    assert before == document(path)
    assert {line for line in THEIRS.splitlines() if "#" in line} <= set(
        path.read_text().splitlines()
    )
    assert ((), 0) == (copies.read(host.context.paths.own), done.code)
    assert not host.context.paths.own.exists()
    assert Removed() == removed(host)
    assert documents.of_removed(done)["changed"]


def test_comments_after_our_entries_stay(host: Host) -> None:
    path = host.own()
    host.merge()
    text = path.read_text().replace(
        "  name: k3s-rootless\ncontexts:",
        "  name: k3s-rootless\n# the newest\n- cluster:\n    server: x\n  name: new\n"
        "# all contexts\ncontexts:",
    )
    path.write_text(text)

    removed(host)

    after = path.read_text()
    assert "# the newest\n- cluster:\n    server: x\n" in after
    assert "# all contexts\ncontexts:" in after


def test_the_context_before_ours_becomes_current_again(host: Host) -> None:
    path = host.own()
    host.merge(switch=True)
    host.rotate()
    host.merge()

    done = removed(host)

    assert "work" == done.files[0].current == document(path)["current-context"]


def test_without_the_context_before_there_is_no_current_one(host: Host) -> None:
    path = host.own()
    host.merge(switch=True)
    path.write_text(path.read_text().replace("  name: work\n# the one", "  name: gone\n# the one"))

    done = removed(host)

    assert "" == done.files[0].current == document(path)["current-context"]


def test_the_context_that_the_user_chose_since_stays(host: Host) -> None:
    path = host.own()
    host.merge(switch=True)
    path.write_text(
        path.read_text().replace("current-context: k3s-rootless", "current-context: home")
    )

    assert removed(host).files[0].current is None
    assert "home" == document(path)["current-context"]


def test_a_current_context_in_another_file_is_corrected(host: Host) -> None:
    first, second = host.own("current-context: ''\n", host.home / "a"), host.home / "b"
    host.merge(into=second)
    first.write_text(f"current-context: {OURS}\n")
    host.environ["KUBECONFIG"] = f"{first}:{second}"

    removed(host)

    assert "" == document(first)["current-context"]
    assert {"clusters": [], "contexts": [], "users": []} == names(second)


def test_copies_in_any_recorded_file_are_removed(host: Host) -> None:
    host.own()
    elsewhere = host.own("{}", host.home / "elsewhere")
    host.merge()
    host.merge(into=elsewhere, name="again")
    gone = host.home / "gone"
    host.merge(into=gone)
    gone.unlink()

    done = removed(host)

    assert {host.config, elsewhere} == {one.file for one in done.files}
    assert () == copies.read(host.context.paths.own)


def test_a_dry_run_changes_nothing(host: Host) -> None:
    path = host.own()
    host.merge()
    before = path.read_text()

    done = removed(host, dry_run=True)

    assert (OURS,) == done.files[0].contexts
    assert before == path.read_text()
    assert 1 == len(copies.read(host.context.paths.own))


def test_edited_entries_and_those_of_others_are_kept(host: Host) -> None:
    path = host.own(THEIRS.replace("home", "k3s-rootless-2"))
    host.merge()
    key = document(path)["users"][1]["user"]["client-key-data"]
    path.write_text(path.read_text().replace(key, "bWluZQ=="))
    before = path.read_text()

    done = removed(host)

    assert ((), ((path, OURS),), 7) == (done.files, done.kept, done.code)
    assert before == path.read_text()
    assert 1 == len(copies.read(host.context.paths.own))


def test_contexts_that_used_our_entries_are_named(host: Host) -> None:
    path = host.own()
    host.merge()
    path.write_text(path.read_text().replace("    cluster: home\n", f"    cluster: {OURS}\n", 1))

    assert ("home",) == removed(host).files[0].referring


def test_a_file_that_cannot_be_read_keeps_its_record(host: Host) -> None:
    host.own()
    bad = host.home / "bad"
    host.merge()
    host.merge(into=bad)
    bad.write_text("users: [c2VjcmV0")

    done = removing.remove_recorded(host.context)

    assert (1, 1) == (len(done.problems), done.code)
    assert "c2VjcmV0" not in done.problems[0].message
    assert [host.config] == [one.file for one in done.files]
    assert [bad] == [one.file for one in copies.read(host.context.paths.own)]
    assert 1 == len(documents.of_removed(done)["errors"])


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"copies": [{"file": 1}]}', b"\xff"])
def test_a_record_that_cannot_be_read_is_no_record(host: Host, content: bytes) -> None:
    path = host.own()
    host.merge()
    record = Path(host.context.paths.own / copies.RECORD)
    record.write_bytes(content)

    assert Removed() == removing.remove_recorded(host.context)
    assert (OURS,) == removed(host).files[0].contexts
    assert document(path) == document(host.own())
