"""Tests of the fields of certificates."""

from __future__ import annotations

from k3s_rootless.cluster.certificates import fields

SERIAL_0 = b"""\
-----BEGIN CERTIFICATE-----
MIIBdzCCAR6gAwIBAgIBADAKBggqhkjOPQQDAjAaMRgwFgYDVQQDDA9rM3Mtc2Vy
dmVyLWNhQDEwIBcNMjYxMTI4MDA1ODIxWhgPMjEyNjExMDQwMDU4MjFaMBoxGDAW
BgNVBAMMD2szcy1zZXJ2ZXItY2FAMTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA
BO45Dy617Wkr0GWDghOi2rqNxhut12R7KT1VRb7kUzIG7HcZiqaCkQMKNO+q1g9J
6Xjhk8Dtbc3QPRlE31Rz4oGjUzBRMB0GA1UdDgQWBBRHhz5yF2bD1oQKq9hvLJrz
wGYiYTAfBgNVHSMEGDAWgBRHhz5yF2bD1oQKq9hvLJrzwGYiYTAPBgNVHRMBAf8E
BTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIFJoYi8EzrsYeMFVDkmAcKq2KOkWVFTG
Qsmn+DckTHaDAiBkTxMaI7N2Ro1jP0wiJP2ThuV+kLPfrR50vlcNL1DlzQ==
-----END CERTIFICATE-----
"""
"""An authority as K3s v1.36.3 creates it; written by OpenSSL with `-set_serial 0`."""


def test_a_serial_number_of_0_causes_no_warning() -> None:
    (found,) = fields.read(SERIAL_0)

    assert ("k3s-server-ca@1", "0", True) == (found.subject, found.serial, found.authority)
