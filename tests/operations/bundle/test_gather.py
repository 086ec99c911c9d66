"""Tests that a bundle has every readable part, names the others, and has no secret in it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from k3s_rootless.operations.bundle import gather
from k3s_rootless.operations.bundle.gather import Bundle
from k3s_rootless.paths import UNIT
from k3s_rootless.support.facts import Item
from tests.fakes.host import Host
from tests.fakes.session import Session
from tests.operations.bundle.conftest import TOKEN

START = "1" * 32
DOCUMENTS = {
    "check.json",
    "status.json",
    "ports.json",
    "version.json",
    "diagnosis.json",
    "phases.json",
    "config.json",
    "env.json",
    "host.json",
}


def by_name(bundle: Bundle) -> dict[str, Item]:
    return {item.name: item for item in bundle.items}


def document(bundle: Bundle, name: str) -> Any:
    return json.loads(by_name(bundle)[name].text)


def say(host: Host, *messages: str) -> None:
    """Write a start with these lines to the journal."""
    fields = {"_SYSTEMD_INVOCATION_ID": START, "__REALTIME_TIMESTAMP": "1795469711695411"}
    host.log("existing", *({"MESSAGE": one, **fields} for one in messages))


def test_the_bundle_contains_every_part_without_secrets(host: Host, bus: Session) -> None:
    bus.order(properties={"InvocationID": ("ay", START)})
    host.install(bus, 'Environment="REGISTRY_PASSWORD=blue whale"')
    say(host, "Starting k3s v1.33.4+k3s1", f"joining with {TOKEN}", "sent zinnober-17")

    bundle = gather.gather(host.context, anonymous=False)

    items = by_name(bundle)
    assert {*DOCUMENTS, "unit.txt", "journal/start-1.txt", "index.html", "manifest.json"} == {
        *items
    }
    assert () == bundle.missing
    assert ["index.html", "manifest.json"] == [bundle.items[0].name, bundle.items[-1].name]
    everything = "\n".join(item.text for item in bundle.items)
    for secret in (TOKEN, "blue whale", "zinnober-17"):
        assert secret not in everything
    assert "joining with [redacted:" in items["journal/start-1.txt"].text
    assert "--data-dir=" in items["unit.txt"].text
    assert "" == bundle.about["secrets_note"]
    assert bundle.about["redacted_total"] == sum(bundle.about["redacted"].values()) > 0


def test_the_manifest_lists_every_other_file(host: Host, bus: Session) -> None:
    host.install(bus)

    bundle = gather.gather(host.context, anonymous=False)

    listed = document(bundle, "manifest.json")["files"]
    assert [
        {"name": one.name, "sha256": hashlib.sha256(one.text.encode()).hexdigest()}
        for one in bundle.items[:-1]
    ] == [{"name": one["name"], "sha256": one["sha256"]} for one in listed]


def test_without_a_user_manager_the_parts_contain_the_reason(host: Host) -> None:
    host.program("systemctl", "#!/bin/sh\necho 'no bus' >&2\nexit 1\n")
    host.write(host.paths.user_units / "k3s-rootless.service", "[Service]\nExecStart=/k3s server\n")
    say(host, 'time="2026-11-23T21:35:13Z" level=fatal msg="got negative mtu"')

    bundle = gather.gather(host.context, anonymous=False)

    reason = document(bundle, "status.json")["errors"][0]["message"]
    assert reason in by_name(bundle)["status.json"].problem
    assert "ExecStart=/k3s server" in by_name(bundle)["unit.txt"].text
    diagnosis = document(bundle, "diagnosis.json")
    assert ("mtu-invalid", None) == (diagnosis["cause"]["id"], diagnosis["ready"])
    assert reason == diagnosis["errors"][0]["message"]
    phases = document(bundle, "phases.json")
    assert "first log line of the start" == phases["start_source"]
    assert ("failed", True) == (phases["phases"][-1]["phase"], phases["phases"][-1]["end"])
    environment = document(bundle, "env.json")
    assert (None, None) == (environment["unit"], environment["manager"])
    assert "no bus" in environment["errors"][-1]["message"]


def test_an_unreadable_part_is_listed_as_missing(host: Host) -> None:
    host.program("journalctl", "#!/bin/sh\necho insufficient permissions >&2\nexit 1\n")

    bundle = gather.gather(host.context, anonymous=False)

    assert {
        "unit.txt": "there is no unit, because K3s is not installed for this user",
        "journal/": "cannot read the journal: permission denied",
    } == {one.name: one.reason for one in bundle.missing}
    page = by_name(bundle)["index.html"].text
    assert all(one.reason in page for one in bundle.missing)


def test_an_unreadable_secret_file_is_reported(host: Host) -> None:
    (host.paths.data / "server/token").unlink()
    (host.paths.data / "server/token").symlink_to("token")

    note = gather.gather(host.context, anonymous=False).about["secrets_note"]

    assert note.startswith(
        "Some files with secrets could not be read, so these secrets were found by form and"
    )
    assert "server/token" in note
    assert "server/token (too many levels of symbolic links)" in note


def test_an_anonymous_bundle_contains_neither_user_nor_home(host: Host, bus: Session) -> None:
    host.install(bus)
    say(host, f"alice reads {host.paths.home}/x")

    bundle = gather.gather(host.context, anonymous=True)

    assert bundle.about["anonymous"]
    assert "some-user reads /home/some-user/x" in by_name(bundle)["journal/start-1.txt"].text
    everything = "\n".join(item.text for item in bundle.items)
    assert str(host.paths.home) not in everything


def test_the_log_file_of_k3s_is_in_the_bundle_without_secrets(host: Host, bus: Session) -> None:
    path = host.paths.home / "k3s.log"
    host.write(path, f'time="2026-11-27T12:00:00Z" level=info msg="joining with {TOKEN}"\n')
    host.install(bus)
    text = (bus.units / UNIT).read_text()
    (bus.units / UNIT).write_text(text.replace(" server ", f" server --log={path} ", 1))

    found = by_name(gather.gather(host.context, anonymous=False))

    assert TOKEN not in found["k3s-log.txt"].text
    assert "joining with [redacted:" in found["k3s-log.txt"].text
