"""Tests of reading the headers of packets."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.linux.packets import Headers, headers

_FROM, _TO = "10.42.0.9", "10.42.0.8"
_FROM_6, _TO_6 = "fd00::9", "fd00::8"
_PORTS = struct.pack("!HH", 43210, 80)
_TCP = _PORTS + bytes(8) + bytes([0x50, 0x12]) + bytes(6)
"""A TCP header with SYN and ACK."""


def ipv4(number: int, rest: bytes, *, offset: int = 0, options: bytes = b"") -> bytes:
    size = (20 + len(options)) // 4
    ends = ipaddress.ip_address(_FROM).packed + ipaddress.ip_address(_TO).packed
    head = struct.pack("!BBHHHBBH", 0x40 | size, 0, 0, 1, offset, 64, number, 0)
    return head + ends + options + rest


def ipv6(number: int, rest: bytes) -> bytes:
    ends = ipaddress.ip_address(_FROM_6).packed + ipaddress.ip_address(_TO_6).packed
    return struct.pack("!IHBB", 6 << 28, len(rest), number, 64) + ends + rest


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (ipv4(6, _TCP), Headers("tcp", _FROM, _TO, 43210, 80, ("SYN", "ACK"))),
        (
            ipv4(6, _TCP, options=bytes(8)),
            Headers("tcp", _FROM, _TO, 43210, 80, ("SYN", "ACK")),
        ),
        (ipv4(17, _PORTS + bytes(4)), Headers("udp", _FROM, _TO, 43210, 80)),
        (ipv4(132, _PORTS), Headers("sctp", _FROM, _TO, 43210, 80)),
        (ipv4(1, bytes([8, 0])), Headers("icmp", _FROM, _TO)),
        (ipv4(253, b""), Headers("253", _FROM, _TO)),
        # Only the first fragment has ports.
        (ipv4(17, _PORTS, offset=0x2000), Headers("udp", _FROM, _TO, 43210, 80)),
        (ipv4(17, _PORTS, offset=5), Headers("udp", _FROM, _TO)),
        # The kernel copies the first bytes of a packet only.
        (ipv4(6, _PORTS), Headers("tcp", _FROM, _TO, 43210, 80)),
        (ipv4(6, _PORTS[:3]), Headers("tcp", _FROM, _TO)),
        (ipv6(6, _TCP), Headers("tcp", _FROM_6, _TO_6, 43210, 80, ("SYN", "ACK"))),
        (ipv6(58, bytes([128, 0])), Headers("icmpv6", _FROM_6, _TO_6)),
        (
            ipv6(0, bytes([60, 0]) + bytes(6) + bytes([17, 1]) + bytes(14) + _PORTS),
            Headers("udp", _FROM_6, _TO_6, 43210, 80),
        ),
        (
            ipv6(44, bytes([17, 0, 0, 1]) + bytes(4) + _PORTS),
            Headers("udp", _FROM_6, _TO_6, 43210, 80),
        ),
        (ipv6(44, bytes([17, 0, 0, 8]) + bytes(4) + _PORTS), Headers("udp", _FROM_6, _TO_6)),
        (b"", None),
        (b"\x45", None),
        (bytes(40), None),
    ],
)
def test_the_headers_of_a_packet_are_read(packet: bytes, expected: Headers | None) -> None:
    assert expected == headers(packet)


@given(st.binary(max_size=160), st.sampled_from((b"", b"\x45", b"\x4f", b"\x60")))
def test_no_packet_raises_an_error(rest: bytes, first: bytes) -> None:
    headers(first + rest)


@given(st.integers(0, 200))
def test_a_cut_packet_raises_no_error(size: int) -> None:
    for packet in (ipv4(6, _TCP, options=bytes(8)), ipv6(0, bytes([44, 0]) + bytes(6) + _TCP)):
        headers(packet[:size])
