"""Tests of the key of K3s's certificates in the datastore."""

from k3s_rootless.k3s import bootstrap_key


def test_the_key_is_that_of_k3s() -> None:
    # K3s pkg/util/token.go: ShortHash is the start of the SHA-256, in hexadecimal.
    assert "/bootstrap/2cf24dba5fb0" == bootstrap_key.of("hello")
