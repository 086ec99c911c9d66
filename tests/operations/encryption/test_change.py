"""Tests of changes of the encryption with K3s's own stages: enabled, disabled, new keys."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.cluster import supervisor
from k3s_rootless.errors import NotReady, NotRunning, RootlessError, UsageError
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.encryption import change, plan, reading, record, status, waiting
from k3s_rootless.operations.encryption.change import Request
from k3s_rootless.operations.encryption.record import Change, Goal
from k3s_rootless.operations.events import Event
from k3s_rootless.paths import UNIT
from tests.fakes.session import Session
from tests.operations import unit
from tests.operations.supervisor import RELEASE, Supervised, refuse, start, supervised

ROTATE = Request(Goal.ROTATE, 30)
ON = "--secrets-encryption"


@pytest.fixture
def k3s(bus: Session, home: Path, context: Context) -> Iterator[Supervised]:
    """Yield a running K3s with the flag for the encryption."""
    with supervised(bus, home, ON) as found:
        found.write_unit(arguments=(ON,))
        start(context)
        yield found


def send(context: Context, **body: object) -> None:
    supervisor.change_encryption(reading.read(context).supervisor, body, timeout=30)


def active(context: Context) -> str:
    key = reading.read(context).state.active
    assert key
    return key.name


def age(k3s: Supervised) -> None:
    """Let the files of the encryption be older than the start of K3s."""
    for path in (k3s.data / "server/cred").glob("encryption-*.json"):
        os.utime(path, (time.time() - 3600,) * 2)


def test_new_keys_need_no_restart(context: Context, k3s: Supervised, events: list[Event]) -> None:
    before = active(context)

    done = change.change(context, ROTATE, refuse)

    assert before != active(context)
    assert "reencrypt_finished" == reading.read(context).state.stage_name
    assert not done.plan.restarts
    assert "K3s has encrypted 120 Secrets again" in unit.notices(events)
    assert not [step for step in unit.steps(events) if "restart" in step]
    document = change.document(done)
    assert (True, False, True) == (document["changed"], document["resumed"], document["enabled"])


def test_a_dry_run_changes_nothing(context: Context, k3s: Supervised) -> None:
    before = k3s.encryption()

    found = change.document(change.preview(context, ROTATE))

    assert (True, False, None) == (found["dry_run"], found["changed"], found["enabled"])
    assert ["add a new key, encrypt all Secrets with it, and remove the old one"] == found["steps"]
    assert before == k3s.encryption()


def test_an_interrupted_reencryption_is_waited_for(context: Context, k3s: Supervised) -> None:
    k3s.restart(ON, seconds=1.0)
    send(context, stage="prepare")
    send(context, stage="rotate")
    send(context, stage="reencrypt_active")

    done = change.change(context, ROTATE, refuse)

    assert done.plan.resumed
    assert done.state
    assert "reencrypt_finished" == done.state.stage_name


def test_new_keys_that_a_restart_interrupted_are_finished(
    context: Context, k3s: Supervised
) -> None:
    """K3s has two keys then, and its own hash does not fit: it refuses rotate-keys."""
    before = active(context)
    state = (k3s.data / "server/cred/encryption-state.json").read_text()
    send(context, stage="prepare")
    (k3s.data / "server/cred/encryption-state.json").write_text(state)
    k3s.restart(ON)
    assert "k3s-rootless encryption rotate-keys" == status.show(context).finish

    done = change.change(context, ROTATE, refuse)

    assert done.plan.resumed
    assert status.show(context).finish == ""
    assert 1 == len(k3s.encryption()["resources"][0]["providers"][0]["aescbc"]["keys"])
    assert before


def test_secretbox_cannot_continue_and_says_so(context: Context, k3s: Supervised) -> None:
    (k3s.data / "server/cred/encryption-config.json").unlink()
    (k3s.data / "server/cred/encryption-state.json").unlink()
    k3s.restart(ON, "--secrets-encryption-provider=secretbox")
    change.change(context, ROTATE, refuse)
    (k3s.data / "server/cred/encryption-state.json").write_text("start-0")
    k3s.restart(ON, "--secrets-encryption-provider=secretbox")

    with pytest.raises(RootlessError, match="cannot continue with this provider"):
        change.change(context, ROTATE, refuse)


def test_steps_of_an_old_release_need_consent_to_restarts(
    context: Context, k3s: Supervised
) -> None:
    send(context, stage="prepare")

    with pytest.raises(UsageError, match="no terminal") as asked:
        change.change(context, ROTATE, lambda _: None)

    assert "k3s-rootless encryption rotate-keys --yes" in str(asked.value.hint)
    found = change.document(change.preview(context, ROTATE))
    assert (True, 4) == (found["restarts"], len(found["steps"]))
    age(k3s)
    rest = change.document(change.preview(context, ROTATE))["steps"]
    assert "use the new key for new Secrets" == rest[0]


def test_keys_of_a_k3s_without_encryption(context: Context, k3s: Supervised) -> None:
    k3s.restart()

    with pytest.raises(RootlessError, match="the encryption of Secrets is not enabled") as refused:
        change.change(context, ROTATE, refuse)

    assert "k3s-rootless encryption enable" in str(refused.value.hint)


def test_nothing_to_do(context: Context, k3s: Supervised) -> None:
    done = change.change(context, Request(Goal.ENABLE, 30), refuse)

    assert not change.document(done)["changed"]
    assert not context.paths.encryption_change.exists()


def test_the_encryption_cannot_be_changed_in_the_middle_of_a_rotation(
    context: Context, k3s: Supervised
) -> None:
    send(context, stage="prepare")

    with pytest.raises(RootlessError, match="a rotation of its keys is not finished"):
        change.change(context, Request(Goal.DISABLE, 30, yes=True), refuse)


def test_an_interrupted_change_writes_the_secrets_again(
    context: Context, k3s: Supervised, events: list[Event]
) -> None:
    send(context, enable=False)
    record.begin(context.paths.encryption_change, Change(Goal.DISABLE, first=False))
    age(k3s)
    assert "k3s-rootless encryption disable" == status.show(context).finish

    done = change.change(context, Request(Goal.DISABLE, 30), refuse)

    assert (True, False) == (done.plan.resumed, done.plan.restarts)
    assert "K3s has encrypted 120 Secrets again" in unit.notices(events)
    assert not context.paths.encryption_change.exists()
    assert status.document(status.show(context))["finish"] is None


def test_an_enable_that_had_set_the_flag_only_goes_on_with_the_restart(
    context: Context, k3s: Supervised
) -> None:
    k3s.restart()

    found = change.document(change.preview(context, Request(Goal.ENABLE, 30)))

    assert found["restarts"]
    assert ["restart K3s, which stops all pods", plan.AGAIN] == found["steps"]


def test_an_enable_that_was_interrupted_after_the_restart_encrypts_with_a_saved_key(
    context: Context, k3s: Supervised
) -> None:
    before = active(context)
    record.begin(context.paths.encryption_change, Change(Goal.ENABLE, first=True))

    done = change.change(context, Request(Goal.ENABLE, 30), refuse)

    assert (True, [plan.AGAIN]) == (done.plan.resumed, change.document(done)["steps"])
    assert before != active(context)
    assert not context.paths.encryption_change.exists()


def test_a_configuration_without_keys_gets_keys(context: Context, k3s: Supervised) -> None:
    """`k3s secrets-encrypt enable` writes it for a cluster without encryption."""
    path = k3s.data / "server/cred/encryption-config.json"
    content = k3s.encryption()
    content["resources"][0]["providers"] = [{"identity": {}}]
    path.write_text(json.dumps(content))
    (k3s.data / "server/cred/encryption-state.json").unlink()
    k3s.restart(ON)
    age(k3s)

    done = change.change(context, Request(Goal.ENABLE, 30), refuse)

    assert [plan.AGAIN] == change.document(done)["steps"]
    assert done.state
    assert done.state.enabled


def test_a_server_that_restarts_meanwhile_is_no_failure(context: Context, k3s: Supervised) -> None:
    here = reading.read(context)
    k3s.context.gate.ready.clear()
    threading.Timer(0.7, k3s.context.gate.ready.set).start()

    found = waiting.finished(here, waiting.Progress(context, here.api, 30))

    assert "start" == found.stage_name


def test_the_reason_of_a_refusal_is_in_the_log(context: Context, k3s: Supervised) -> None:
    here = reading.read(context)
    progress = waiting.Progress(context, here.api, 30)

    with pytest.raises(RootlessError, match="cannot try: secret-encrypt error ID") as refused:
        waiting.request(here, {"stage": "rotate"}, "try", progress)

    assert str(refused.value.hint).startswith(
        "see its reason with: k3s-rootless logs --grep 'error"
    )


def test_without_progress_the_wait_ends(context: Context, k3s: Supervised) -> None:
    k3s.restart(ON, seconds=30.0)

    with pytest.raises(NotReady, match="has not encrypted a Secret again for 1 s"):
        change.change(context, replace(ROTATE, seconds=1), refuse)


def test_a_failure_of_k3s_ends_the_wait(context: Context, k3s: Supervised) -> None:
    here = reading.read(context)
    progress = waiting.Progress(context, here.api, 30)
    event = {
        "metadata": {"name": "failed", "namespace": "default"},
        "reason": "SecretsUpdateError",
        "message": "failed to update secret: \x1b[31mx",
        "lastTimestamp": f"{progress.since:%Y-%m-%dT%H:%M:%SZ}",
    }
    k3s.context.cluster.put("events", event | {"lastTimestamp": "2999-01-01T00:00:00Z"})

    with pytest.raises(RootlessError, match="failed to update secret") as failed:
        progress.look()

    assert "\x1b" not in failed.value.message


def test_events_of_another_form_are_no_progress(context: Context, k3s: Supervised) -> None:
    here = reading.read(context)
    for number, time_ in enumerate((None, 5, "soon", "2000-01-01T00:00:00Z")):
        event = {
            "metadata": {"name": f"event-{number}", "namespace": "default"},
            "reason": "SecretsProgress",
            "lastTimestamp": time_,
        }
        k3s.context.cluster.put("events", event)

    progress = waiting.Progress(context, here.api, 30)
    progress.look()

    assert 0 == progress.count


def test_a_stopped_k3s(context: Context, k3s: Supervised) -> None:
    with context.manager() as manager:
        manager.stop(UNIT)

    with pytest.raises(NotRunning, match="K3s is not running"):
        change.change(context, ROTATE, refuse)


def test_no_key_is_in_any_document(context: Context, k3s: Supervised) -> None:
    change.change(context, ROTATE, refuse)

    printed = json.dumps(status.document(status.show(context)))

    (key,) = k3s.encryption()["resources"][0]["providers"][0]["aescbc"]["keys"]
    assert key["name"] in printed
    assert key["secret"] not in printed
    assert RELEASE
