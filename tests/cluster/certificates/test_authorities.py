"""Tests of new authorities: those that K3s accepts, and each reason to refuse one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from k3s_rootless.cluster.certificates import authorities
from k3s_rootless.cluster.certificates.records import Authority
from tests.cluster.certificates import authority
from tests.cluster.certificates.authority import NOW, Issued, issue

ROOT = issue("root")
BETWEEN = issue("between", ROOT)
PRESENT = issue("server-ca@1", BETWEEN)
SELF_SIGNED = issue("server-ca@1")


def of(issued: Issued, **changes: bytes) -> Authority:
    content = {"certificate": issued.pem, "key": issued.key_pem, **changes}
    return Authority("server-ca.crt", **content)


def problems(old: Issued, new: Authority) -> list[str]:
    return list(authorities.problems(of(old), new, NOW))


def test_an_authority_with_the_same_root_is_accepted() -> None:
    assert [] == problems(PRESENT, of(issue("server-ca@2", BETWEEN)))
    assert [] == problems(PRESENT, of(issue("server-ca@2", issue("other", ROOT))))


def test_an_authority_that_the_present_one_has_cross_signed_is_accepted() -> None:
    """K3s's script for its own self-signed authorities makes such a bundle."""
    root = issue("new root")
    crossed = issue("new root", SELF_SIGNED, key=root.key)
    leaf = issue("server-ca@2", root)
    bundle = Issued(
        leaf.certificate, leaf.key, (root.certificate, crossed.certificate, SELF_SIGNED.certificate)
    )
    without = Issued(leaf.certificate, leaf.key, (root.certificate, SELF_SIGNED.certificate))

    assert [] == problems(SELF_SIGNED, of(bundle))
    assert any("has not signed it" in one for one in problems(SELF_SIGNED, of(without)))


def test_an_authority_that_is_not_replaced_is_accepted() -> None:
    assert [] == problems(PRESENT, Authority("server-ca.crt", b"", b""))


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (of(issue("stranger", issue("another root"))), "the present authority has not signed it"),
        (of(issue("server-ca@2", BETWEEN, days=-1)), "is not valid now"),
        (of(issue("server-ca@2", BETWEEN, starts=NOW + timedelta(days=1))), "is not valid now"),
        (of(issue("server-ca@2", BETWEEN, authority=False)), "is not that of an authority"),
        (of(issue("server-ca@2", BETWEEN), key=b""), "there is no key for it"),
        (of(PRESENT, key=ROOT.key_pem), "its key does not belong to its first certificate"),
        (of(PRESENT, certificate=b""), "there is a new key, but no new certificate"),
        (of(PRESENT, certificate=b"tea"), "it is not valid X.509 in PEM"),
        (of(PRESENT, key=b"tea"), "it is not valid X.509 in PEM"),
    ],
)
def test_each_problem_is_named(new: Authority, expected: str) -> None:
    found = problems(PRESENT, new)

    assert any(one.startswith("server-ca.crt: ") and expected in one for one in found)


def test_an_authority_alone_is_refused() -> None:
    """K3s refuses a bundle with one certificate, also if it is signed by the present one."""
    alone = issue("server-ca@2", ROOT)
    content = Authority("server-ca.crt", issue_pem(alone), alone.key_pem)

    assert any("one certificate only" in one for one in problems(PRESENT, content))


def issue_pem(issued: Issued) -> bytes:
    return Issued(issued.certificate, issued.key).pem


def test_an_expired_signer_does_not_count() -> None:
    ended = issue("ended", ROOT, days=-1)

    assert any("has not signed it" in one for one in problems(PRESENT, of(issue("new", ended))))


def test_the_present_key_of_service_accounts_must_stay() -> None:
    old, new = (authority.key_pem(authority.new_key()) for _ in range(2))

    assert "" == authorities.service_key_problem(old, b"")
    assert "" == authorities.service_key_problem(old, new + old)
    assert "all tokens would become invalid" in authorities.service_key_problem(old, new)
    assert "not a list of private keys" in authorities.service_key_problem(old, b"-----END tea")
    assert "not a list of private keys" in authorities.service_key_problem(b"", new)
