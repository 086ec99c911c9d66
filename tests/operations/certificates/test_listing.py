"""Tests of the list of certificates: of an installed K3s, damaged, and near their ends."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from k3s_rootless.errors import NotRunning
from k3s_rootless.operations.certificates import listing
from k3s_rootless.operations.context import Context
from tests.cluster.certificates import authority
from tests.fakes.session import Session
from tests.operations import unit


@pytest.fixture
def data(context: Context, bus: Session, home: Path) -> Path:
    """Return the data directory of an installed K3s."""
    return unit.write(bus, home)


def states(listed: listing.Listed) -> dict[str, str]:
    return {one.name: one.condition.value for one in listed.certificates}


def test_an_installed_k3s_without_certificates_has_an_empty_list(
    context: Context, data: Path
) -> None:
    listed = listing.read(context)

    assert ((), (), data) == (listed.certificates, listed.problems, listed.data)


def test_each_certificate_has_its_use_and_its_renewal(context: Context, data: Path) -> None:
    authority.write_cluster(data)

    content = listing.document(listing.read(context))
    rows = {row["file"]: row for row in content["certificates"]}

    admin = rows["server/tls/client-admin.crt"]
    assert ("system:admin", "admin", ["client"], "valid", "start") == tuple(
        admin[key] for key in ("subject", "service", "usages", "state", "renewed_by")
    )
    assert (authority.NOW + timedelta(days=245)).isoformat() == admin["renewed_from"]
    assert "each-start" == rows["agent/client-kubelet.crt"]["renewed_by"]
    assert "running" == rows["server/tls/dynamic-cert.json"]["renewed_by"]
    assert (True, "never", None) == tuple(
        rows["server/tls/server-ca.crt"][key] for key in ("authority", "renewed_by", "renewed_from")
    )
    assert 120 == content["renewal_days"]
    assert [] == content["errors"]


def test_certificates_near_their_ends_are_due(context: Context, data: Path) -> None:
    authority.write_cluster(data, leaf_days=100, days=300)

    listed = listing.read(context)

    assert ["server/tls/client-admin.crt", "agent/client-kubelet.crt"] == [
        one.name for one in listed.due
    ]
    assert 5 == len(listed.due_authorities)
    assert {"due"} == set(states(listed).values())


def test_the_authorities_that_have_signed_one_are_listed(context: Context, data: Path) -> None:
    authority.write_cluster(data)
    signed = authority.issue("server-ca@2", authority.issue("between", authority.issue("root")))
    authority.write(data / "server/tls", "server-ca.crt", signed)

    found = [
        one.fields.subject
        for one in listing.read(context).certificates
        if one.name == "server/tls/server-ca.crt"
    ]

    assert ["server-ca@2", "between", "root"] == found


def test_a_replaced_authority_behind_the_present_one_needs_no_action(
    context: Context, data: Path
) -> None:
    authority.write_cluster(data)
    signed = authority.issue("server-ca@2", authority.issue("old root", days=30))
    authority.write(data / "server/tls", "server-ca.crt", signed)

    listed = listing.read(context)

    assert "due" in {one.condition.value for one in listed.certificates}
    assert () == listed.due_authorities


def test_a_damaged_file_is_reported_beside_the_others(context: Context, data: Path) -> None:
    authority.write_cluster(data)
    (data / "server/tls/client-admin.crt").write_text("tea")

    listed = listing.read(context)

    ((name, reason),) = listed.problems
    assert "server/tls/client-admin.crt" == name
    assert "not valid X.509" in reason
    assert len(listed.certificates) > 5


def test_authorities_without_readable_keys_are_listed(context: Context, data: Path) -> None:
    authority.write_cluster(data)
    (data / "server/tls/client-ca.key").unlink()

    assert ("server/tls/client-ca.crt",) == listing.read(context).keyless


def test_copies_of_earlier_certificates_are_found(context: Context, data: Path) -> None:
    authority.write_cluster(data)
    for name in ("tls-1700000001", "tls-900", "tls-mine", "other"):
        (data / "server" / name).mkdir()

    found = [one.name for one in listing.read(context).backups]

    assert ["tls-900", "tls-1700000001"] == found


def test_without_a_unit_there_are_no_certificates(context: Context) -> None:
    with pytest.raises(NotRunning):
        listing.read(context)
