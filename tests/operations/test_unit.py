"""Tests that `unit show` and `unit diff` return the files of the unit without secrets."""

from __future__ import annotations

import json

import pytest

from k3s_rootless.errors import NotRunning, PreflightFailed
from k3s_rootless.operations import unit
from k3s_rootless.operations.environment import change
from k3s_rootless.paths import UNIT
from k3s_rootless.service.unit.seal import Author, sealed
from tests.fakes.managed_host import TEXT, ManagedHost
from tests.support.search import Haystack

SECRETS = ("bare-pw-1", "quote'pw-2", "folded-pw-3", "over-lines-4", "flag-pw-5", "learnt-pw-6")
UNIT_TEXT = """[Unit]
Description=K3s with learnt-pw-6
[Service]
Environment=HTTPS_PROXY=u:bare-pw-1@proxy:3128
Environment="HTTP_PROXY=http://u:quote'pw-2@proxy:3128" K3S_ROOTLESS_MTU=1400
Environment="MY_SECRET=folded-pw-3 \\
over-lines-4"
Environment=DB_PW=learnt-pw-6
ExecStart=/usr/local/bin/k3s server --rootless --agent-token flag-pw-5
"""


@pytest.fixture
def secretive(host: ManagedHost) -> ManagedHost:
    host.install(UNIT_TEXT)
    host.write_drop_in("override.conf", "# learnt-pw-6 is in the unit", "Environment=P=bare-pw-1")
    return host


def load(host: ManagedHost) -> None:
    """Make systemd load the unit."""
    with host.context.manager() as manager:
        manager.unit(UNIT)


def diff(host: ManagedHost) -> tuple[unit.Difference, ...]:
    k3s = host.provide_k3s()
    return unit.diff(host.context_with(environ={"PATH": f"{k3s.parent}:/usr/bin:/bin"}))


def test_without_a_unit_there_is_nothing_to_show(host: ManagedHost) -> None:
    with pytest.raises(NotRunning, match="not installed"):
        unit.show(host.context)


def test_a_drop_in_without_a_unit_is_shown(host: ManagedHost) -> None:
    host.write_drop_in("override.conf", "Nice=1")

    (one,) = unit.show(host.context).files

    assert ("override.conf", Author.FOREIGN, False) == (one.path.name, one.author, one.loaded)
    assert "[Service]\nNice=1\n" == one.text


def test_files_come_in_the_order_in_which_they_count(host: ManagedHost) -> None:
    host.install(sealed(TEXT))
    change.set_variables(host.context, {"K3S_ROOTLESS_MTU": "1400"})
    host.write_drop_in("60-later.conf", "Nice=1")
    (host.drop_ins / "70-link.conf").symlink_to("gone")

    shown = unit.show(host.context)

    # On this host one directory has two names, so our drop-in appears again under the other name.
    first = {one.path.name: one for one in reversed(shown.files)}
    found = sorted(first.values(), key=shown.files.index)
    assert [
        (UNIT, Author.OURS, False, True),
        ("50-k3s-rootless-environment.conf", Author.OURS, False, True),
        ("60-later.conf", Author.FOREIGN, False, False),
        ("70-link.conf", None, True, False),
    ] == [(one.path.name, one.author, one.link, one.loaded) for one in found]
    assert not shown.needs_reload


def test_a_file_that_cannot_be_read_is_shown_with_the_reason(host: ManagedHost) -> None:
    host.install()
    load(host)
    (host.drop_ins / "60-later.conf").mkdir(parents=True)

    last = unit.show_document(unit.show(host.context))["files"][-1]

    assert (None, None) == (last["author"], last["text"])
    assert last["problem"].endswith("is a directory")


def test_a_unit_that_systemd_has_not_read_again_is_reported(host: ManagedHost) -> None:
    host.install()
    load(host)
    host.install(f"{TEXT}Nice=1\n")

    shown = unit.show(host.context)

    assert shown.needs_reload
    assert unit.show_document(shown)["needs_reload"]


def test_a_unit_is_shown_without_its_secrets(secretive: ManagedHost) -> None:
    text = json.dumps(unit.show_document(unit.show(secretive.context)))

    assert "K3S_ROOTLESS_MTU=1400" in text
    assert [] == [secret for secret in SECRETS if Haystack(text).holds(secret)]


def test_a_difference_is_shown_without_its_secrets(secretive: ManagedHost) -> None:
    found = diff(secretive)

    text = json.dumps(unit.diff_document(found))
    assert [(UNIT, Author.FOREIGN)] == [(one.path.name, one.author) for one in found]
    assert "K3S_ROOTLESS_MTU=1400" in text
    assert [] == [secret for secret in SECRETS if Haystack(text).holds(secret)]


def test_a_missing_unit_differs_in_each_line(host: ManagedHost) -> None:
    (one,) = diff(host)

    assert (UNIT, None) == (one.path.name, one.author)
    changed = [line for line in one.diff.split("\n")[3:] if line]
    assert all(line.startswith("+") for line in changed)
    assert None is unit.diff_document([one])["differences"][0]["author"]


def test_our_own_edited_drop_in_differs_and_one_of_others_does_not(host: ManagedHost) -> None:
    (one,) = diff(host)
    text = "".join(f"{line[1:]}\n" for line in one.diff.split("\n")[3:] if line.startswith("+"))
    host.install(text)
    change.set_variables(host.context, {"K3S_ROOTLESS_MTU": "1400"})
    host.write_drop_in("override.conf", "Nice=1")
    context = host.context_with(environ={"PATH": f"{host.home}/bin:/usr/bin:/bin"})
    assert () == unit.diff(context)

    path = host.drop_ins / "50-k3s-rootless-environment.conf"
    path.write_text(f"{path.read_text()}# mine\n")

    (other,) = unit.diff(context)
    assert (path.name, Author.EDITED) == (other.path.name, other.author)
    assert "-# mine" in other.diff.split("\n")


def test_without_k3s_there_is_nothing_to_compare_with(host: ManagedHost) -> None:
    with pytest.raises(PreflightFailed, match="cannot render the unit"):
        unit.diff(host.context_with(environ={"PATH": "/nowhere"}))
