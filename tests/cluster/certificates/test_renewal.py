"""Tests of the state of certificates, and of what renews them and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from k3s_rootless.cluster.certificates import due, fields, renewal
from k3s_rootless.cluster.certificates.facts import End
from k3s_rootless.cluster.certificates.records import Condition
from k3s_rootless.k3s.certificates import Renewal
from k3s_rootless.observation import Known, Unknown
from tests.cluster.certificates import authority

NOW = authority.NOW
LEAF = fields.read(authority.issue("system:admin", authority=False).pem)[0]
AUTHORITY = fields.read(authority.issue("k3s-server-ca@1").pem)[0]


def test_the_fields_are_those_of_the_certificate() -> None:
    assert ("system:admin", "system:admin", ("client",), False) == (
        LEAF.subject,
        LEAF.issuer,
        LEAF.usages,
        LEAF.authority,
    )
    assert AUTHORITY.authority
    assert NOW + timedelta(days=3650) == LEAF.ends


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (121, Condition.VALID),
        (120, Condition.VALID),
        (119, Condition.DUE),
        (0, Condition.DUE),
        (-1, Condition.EXPIRED),
    ],
)
def test_a_certificate_is_due_within_the_window(days: int, expected: Condition) -> None:
    leaf = replace(LEAF, ends=NOW + timedelta(days=days))

    found = renewal.judge("server/tls/client-admin.crt", leaf, 120, NOW)

    assert expected is found.condition
    assert leaf.ends - timedelta(days=120) == found.renewed_from


def test_a_certificate_of_the_future_is_not_valid() -> None:
    leaf = replace(LEAF, starts=NOW + timedelta(hours=1))

    found = renewal.judge("server/tls/client-admin.crt", leaf, 120, NOW)

    assert Condition.NOT_YET_VALID is found.condition


def test_an_authority_is_due_in_the_year_before_its_end() -> None:
    near = replace(AUTHORITY, ends=NOW + timedelta(days=364))

    found = renewal.judge("server/tls/server-ca.crt", near, 120, NOW)

    assert (Condition.DUE, None, Renewal.NEVER) == (
        found.condition,
        found.renewed_from,
        found.purpose.renewal,
    )


def test_an_unknown_file_is_judged_as_well() -> None:
    found = renewal.judge("server/tls/mine.crt", LEAF, 120, NOW)

    assert (Renewal.UNKNOWN, None) == (found.purpose.renewal, found.renewed_from)


def end(name: str, days: int) -> End:
    return End(name, Known(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days)))


def test_certificates_that_a_start_renews_are_in_the_order_of_their_ends() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    found = (
        end("server/tls/client-scheduler.crt", 20),
        end("server/tls/client-admin.crt", 10),
        end("server/tls/client-controller.crt", 200),
        end("server/tls/dynamic-cert.json", 1),
        end("server/tls/server-ca.crt", 1),
        end("agent/client-kubelet.crt", -1),
        End("server/tls/client-auth-proxy.crt", Unknown("dark")),
    )

    leaves = [one.name for one in due.leaves(found, 120, now)]
    authorities = [one.name for one in due.authorities(found, now)]

    assert [
        "agent/client-kubelet.crt",
        "server/tls/client-admin.crt",
        "server/tls/client-scheduler.crt",
    ] == leaves
    assert ["server/tls/server-ca.crt"] == authorities
