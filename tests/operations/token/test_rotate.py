"""Tests that a token is rotated in all its places, or nothing changes; killed at many points."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.errors import NotRunning, PreflightFailed, RootlessError, UsageError
from k3s_rootless.k3s import bootstrap_key, token
from k3s_rootless.operations import reset, reset_plan, restart, up
from k3s_rootless.operations.backup import create, restore, unfinished
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event
from k3s_rootless.operations.token import record, rotate
from k3s_rootless.operations.token.plan import Request
from k3s_rootless.operations.token.record import Rotation
from k3s_rootless.paths import UNIT
from k3s_rootless.service.unit import seal
from tests.fakes.session import Session
from tests.killing import killed_at_many_points
from tests.operations import unit
from tests.operations.supervisor import Supervised, refuse, start, supervised

REQUEST = Request(None, yes=True)
OLD = "a-first-token-of-24-characters"
NEW = "a-second-token-of-24-characters"


@pytest.fixture
def k3s(bus: Session, home: Path, context: Context) -> Iterator[Supervised]:
    """Yield a running K3s that was started with a token, which its unit does not set."""
    with supervised(bus, home, f"--token={OLD}") as found:
        start(context)
        yield found


def stop(context: Context) -> None:
    with context.manager() as manager:
        manager.stop(UNIT)


def set_everywhere(k3s: Supervised, home: Path) -> Path:
    """Set the token in every kind of place; return our drop-in."""
    k3s.config.write_text(f"# mine\ntoken: {OLD} # secret\ndebug: true\n")
    drop_ins = k3s.bus.units / f"{UNIT}.d"
    drop_ins.mkdir(exist_ok=True)
    ours = drop_ins / "50-k3s-rootless-environment.conf"
    ours.write_text(seal.sealed(f'[Service]\nEnvironment="K3S_TOKEN={OLD}"\n'))
    (home / "k3s.env").write_text(f"K3S_TOKEN='{OLD}'\nOTHER=1\n")
    k3s.write_unit(f"EnvironmentFile={home}/k3s.env", arguments=(f"--token={OLD}",))
    return ours


def require_everywhere(k3s: Supervised, home: Path, ours: Path) -> None:
    new = k3s.password
    assert new not in {None, OLD}
    assert k3s.config.read_text() == f"# mine\ntoken: {new} # secret\ndebug: true\n"
    assert seal.author(ours.read_text()) is seal.Author.OURS
    assert f'Environment="K3S_TOKEN={new}"' in ours.read_text()
    assert (home / "k3s.env").read_text() == f"K3S_TOKEN='{new}'\nOTHER=1\n"
    assert f"--token={new}" in (k3s.bus.units / UNIT).read_text()


def test_a_random_token_replaces_that_of_k3s(context: Context, k3s: Supervised) -> None:
    with context.manager() as manager:
        before = manager.unit(UNIT).invocation

    done = rotate.rotate(context, REQUEST, refuse)

    new = k3s.password
    assert new not in {None, OLD}
    assert {bootstrap_key.of(new or "")} == k3s.keys
    assert not context.paths.token_rotation.exists()
    earlier = record.earlier(context.paths.earlier_tokens)
    assert [OLD] == [token.password(one.token) for one in earlier]
    assert 0o600 == context.paths.earlier_tokens.stat().st_mode & 0o777
    with context.manager() as manager:
        assert before != manager.unit(UNIT).invocation
    document = rotate.document(done)
    assert ("server", True, []) == (document["kind"], document["sends"], document["files"])
    assert not [one for one in (OLD, new) if one and one in json.dumps(document) + repr(done)]


def test_every_place_gets_the_new_token(context: Context, k3s: Supervised, home: Path) -> None:
    ours = set_everywhere(k3s, home)
    start(context)

    rotate.rotate(context, REQUEST, refuse)

    require_everywhere(k3s, home, ours)
    assert 1 == len(record.earlier(context.paths.earlier_tokens))


def test_a_token_file_gets_the_new_token(context: Context, k3s: Supervised, home: Path) -> None:
    (home / "secret").write_text(f"  {OLD}\n")
    (home / "secret").chmod(0o600)
    k3s.config.write_text(f"token-file: {home}/secret\n")

    rotate.rotate(context, replace(REQUEST, new=NEW), refuse)

    assert f"{NEW}\n" == (home / "secret").read_text()
    assert 0o600 == (home / "secret").stat().st_mode & 0o777
    assert NEW == k3s.password


def test_a_dry_run_changes_nothing(context: Context, k3s: Supervised) -> None:
    k3s.config.write_text(f"token: {OLD}\n")

    found = rotate.document(rotate.preview(context, REQUEST))

    assert (True, True, [str(k3s.config)]) == (found["dry_run"], found["sends"], found["files"])
    assert OLD == k3s.password
    assert f"token: {OLD}\n" == k3s.config.read_text()
    assert not context.paths.own.exists()


@pytest.mark.parametrize(("answer", "error"), [("no terminal", UsageError), ("no", RootlessError)])
def test_without_consent_nothing_changes(
    context: Context, k3s: Supervised, answer: str, error: type[RootlessError]
) -> None:
    given = {"no terminal": None, "no": False}[answer]

    with pytest.raises(error):
        rotate.rotate(context, Request(None), lambda _: given)

    assert OLD == k3s.password
    assert not context.paths.token_rotation.exists()


@pytest.mark.parametrize(
    "new", ["short", "K10" + "a" * 64 + "::server:abcdefgh", "with a blank 12345", "1" * 20]
)
def test_a_token_that_needs_care_is_refused(context: Context, k3s: Supervised, new: str) -> None:
    with pytest.raises(UsageError, match="cannot use this token") as refused:
        rotate.rotate(context, replace(REQUEST, new=new), refuse)

    assert new not in refused.value.message
    assert OLD == k3s.password


def test_the_present_token_is_refused(context: Context, k3s: Supervised) -> None:
    with pytest.raises(RootlessError, match="it is the present one"):
        rotate.rotate(context, replace(REQUEST, new=OLD), refuse)


def test_k3s_must_run(context: Context, k3s: Supervised) -> None:
    stop(context)

    with pytest.raises(NotRunning, match="changes its datastore itself"):
        rotate.rotate(context, REQUEST, refuse)
    assert not context.paths.token_rotation.exists()


@pytest.mark.parametrize(
    "text",
    ["token: &t {old}\nnode-name: *t\n", 'token: "a-first\\x2dtoken-of-24-characters"\n'],
    ids=["an alias", "an escape"],
)
def test_a_place_that_cannot_be_changed_safely_is_named(
    context: Context, k3s: Supervised, text: str
) -> None:
    k3s.config.write_text(text.format(old=OLD))

    with pytest.raises(RootlessError, match=f"cannot replace the token in `{k3s.config}:1`"):
        rotate.rotate(context, REQUEST, refuse)

    assert OLD == k3s.password
    assert not context.paths.own.exists()


def test_a_file_that_other_users_can_change_is_named(context: Context, k3s: Supervised) -> None:
    k3s.config.write_text(f"token: {OLD}\n")
    k3s.config.chmod(0o666)

    with pytest.raises(PreflightFailed, match=f"cannot change `{k3s.config}`: every user"):
        rotate.rotate(context, REQUEST, refuse)
    assert OLD == k3s.password


def test_a_token_in_the_user_manager_is_refused(context: Context, k3s: Supervised) -> None:
    with context.manager() as manager:
        manager.change_environment((), {"K3S_TOKEN": OLD})

    with pytest.raises(RootlessError, match="in the environment of the user manager") as refused:
        rotate.rotate(context, REQUEST, refuse)

    assert "systemctl --user unset-environment K3S_TOKEN" in str(refused.value.hint)


def test_another_token_for_the_next_start_is_refused(context: Context, k3s: Supervised) -> None:
    k3s.config.write_text(f"token: {NEW}\n")

    with pytest.raises(RootlessError, match=f"would use another token, set in {k3s.config}:1"):
        rotate.rotate(context, REQUEST, refuse)


def test_a_place_without_effect_is_left_and_reported(
    context: Context, k3s: Supervised, events: list[Event]
) -> None:
    k3s.config.write_text(f"token: {OLD}\n")
    k3s.write_unit(f"Environment=K3S_TOKEN={NEW}")
    start(context)

    done = rotate.rotate(context, REQUEST, refuse)

    unit_file = k3s.bus.units / UNIT
    assert [str(unit_file)] == rotate.document(done)["others"]
    assert any("sets another token, which has no effect" in one for one in unit.notices(events))
    assert NEW in unit_file.read_text()


def test_a_k3s_that_was_not_restarted_since_refuses_its_token(
    context: Context, k3s: Supervised
) -> None:
    k3s.context.control.passwords.rotate(json.dumps({"newToken": NEW}).encode())  # type: ignore[union-attr]

    with pytest.raises(RootlessError, match="K3s does not accept its token") as refused:
        rotate.rotate(context, REQUEST, refuse)

    assert "k3s-rootless restart" in str(refused.value.hint)
    assert NEW == k3s.password
    assert not context.paths.token_rotation.exists()


def test_a_lost_answer_is_found_out_by_the_next_command(
    context: Context, k3s: Supervised, home: Path
) -> None:
    ours = set_everywhere(k3s, home)
    start(context)
    record.begin(context.paths.token_rotation, Rotation(OLD, NEW))
    k3s.context.control.passwords.rotate(json.dumps({"newToken": NEW}).encode())  # type: ignore[union-attr]
    stop(context)

    for command in (
        lambda: restart.restart(context, None),
        lambda: up.up(context, up.Request(), refuse),
        lambda: up.plan(context, up.Request()),
    ):
        with pytest.raises(RootlessError, match="rotation of the token is not finished") as error:
            command()
        assert "finish it with: k3s-rootless token rotate" == error.value.hint
    assert unfinished.find(context, None)

    done = rotate.rotate(context, Request(None), refuse)

    assert done.plan.resumed
    assert not done.plan.sends
    assert NEW == k3s.password
    require_everywhere(k3s, home, ours)


def test_a_request_that_was_not_sent_is_sent_by_the_next_command(
    context: Context, k3s: Supervised
) -> None:
    record.begin(context.paths.token_rotation, Rotation(OLD, NEW))

    done = rotate.rotate(context, Request(None), refuse)

    assert (True, True) == (done.plan.resumed, done.plan.sends)
    assert NEW == k3s.password
    assert not context.paths.token_rotation.exists()


def test_no_other_datastore_takes_the_place_of_one_in_a_rotation(
    context: Context, k3s: Supervised
) -> None:
    saved = create.create(context, create.Request()).path
    record.begin(context.paths.token_rotation, Rotation(OLD, NEW))
    for command in (
        lambda: restore.restore(context, restore.Request(saved, 5, yes=True), refuse),
        lambda: reset.reset(context, reset_plan.Request(5, backup=False, yes=True), refuse),
        lambda: create.create(context, create.Request()),
    ):
        with pytest.raises(RootlessError, match="rotation of the token is not finished"):
            command()


def test_a_rotation_that_changed_nothing_is_forgotten_when_k3s_is_stopped(
    context: Context, k3s: Supervised
) -> None:
    record.begin(context.paths.token_rotation, Rotation(OLD, NEW))
    stop(context)

    with pytest.raises(NotRunning):
        rotate.rotate(context, REQUEST, refuse)

    restart.restart(context, None)
    assert OLD == k3s.password


def test_a_killed_rotation_is_finished_by_the_next_one(
    context: Context, k3s: Supervised, home: Path
) -> None:
    saved = home.with_name(f"{home.name}-saved")
    ours = set_everywhere(k3s, home)
    start(context)
    shutil.copytree(home, saved, ignore=shutil.ignore_patterns("session"), symlinks=True)
    files = {path: path.read_bytes() for path in (ours, k3s.bus.units / UNIT)}
    seen = set()
    try:
        for _ in killed_at_many_points(lambda: rotate.rotate(context, REQUEST, refuse), step=4):
            half = context.paths.token_rotation.exists()
            seen.add((half, k3s.password == OLD))
            if half or k3s.password == OLD:
                rotate.rotate(context, REQUEST, refuse)
            else:
                with pytest.raises(RootlessError, match="K3s does not accept its token"):
                    rotate.rotate(context, REQUEST, refuse)
            require_everywhere(k3s, home, ours)
            kept = record.earlier(context.paths.earlier_tokens)
            assert OLD in {token.password(one.token) for one in kept}
            put_back(saved, home, files)
            k3s.forget()
            k3s.restart(f"--token={OLD}")
            start(context)
    finally:
        shutil.rmtree(saved, ignore_errors=True)
    # How many changes come before each state depends on the modules that are loaded already.
    assert (True, False) in seen


def put_back(saved: Path, home: Path, files: dict[Path, bytes]) -> None:
    shutil.rmtree(home / ".local", ignore_errors=True)
    for name in ("config.yaml", "k3s.env"):
        shutil.copy2(saved / name, home / name)
    for path, content in files.items():
        path.write_bytes(content)


def test_the_token_for_agents(context: Context, k3s: Supervised) -> None:
    k3s.config.write_text(f"agent-token: {OLD}-agent\n")

    rotate.rotate(context, replace(REQUEST, agent=True, new=NEW), refuse)

    assert f"agent-token: {NEW}\n" == k3s.config.read_text()
    assert OLD == k3s.password
    earlier = record.earlier(context.paths.earlier_tokens)
    assert [("agent", f"{OLD}-agent")] == [(one.kind, one.token) for one in earlier]


def test_agents_without_a_token_use_that_of_the_server(context: Context, k3s: Supervised) -> None:
    with pytest.raises(UsageError, match="agents use the token of the server"):
        rotate.rotate(context, replace(REQUEST, agent=True), refuse)
    assert os.path.islink(k3s.data / "server/agent-token")  # noqa: PTH114
