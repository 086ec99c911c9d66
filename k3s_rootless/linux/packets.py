"""The headers of IP packets: addresses, protocol and ports."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

_NAMES = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp", 136: "udplite"}
"""Names of IP protocols (IANA, "Protocol Numbers"), as iptables prints them."""
_WITH_PORTS = frozenset({6, 17, 132, 136})
_TCP, _FRAGMENT = 6, 44
_EXTENSIONS = frozenset({0, 43, 60})
"""Hop-by-hop options, routing header and destination options (RFC 8200, section 4)."""
_MOST_EXTENSIONS = 8
_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG")
_IPV4_SIZE, _IPV6_SIZE, _TCP_FLAGS_AT = 20, 40, 13


@dataclass(frozen=True, slots=True)
class Headers:
    """What the headers of a packet show.

    `protocol` is its name, or its number. Ports are None for protocols without ports, and for
    fragments after the first one. `flags` are those of TCP.
    """

    protocol: str
    source: str
    destination: str
    source_port: int | None = None
    destination_port: int | None = None
    flags: tuple[str, ...] = ()


def headers(packet: bytes) -> Headers | None:
    """Return the headers of an IPv4 or IPv6 packet, which may be cut; None if it is neither."""
    version = packet[:1] and packet[0] >> 4
    if version == 4 and len(packet) >= _IPV4_SIZE:
        return _of_ipv4(packet)
    if version == 6 and len(packet) >= _IPV6_SIZE:
        return _of_ipv6(packet)
    return None


def _of_ipv4(packet: bytes) -> Headers:
    # RFC 791, section 3.1.
    length = (packet[0] & 0x0F) * 4
    offset = int.from_bytes(packet[6:8], "big") & 0x1FFF
    rest = packet[length:] if offset == 0 and length >= _IPV4_SIZE else b""
    return _with_ports(packet[9], packet[12:16], packet[16:20], rest)


def _of_ipv6(packet: bytes) -> Headers:
    # RFC 8200, sections 3 and 4. A longer chain of extension headers is not followed.
    number, rest = packet[6], packet[_IPV6_SIZE:]
    for _ in range(_MOST_EXTENSIONS):
        if number == _FRAGMENT and len(rest) >= 8:
            later = int.from_bytes(rest[2:4], "big") >> 3
            number, rest = rest[0], b"" if later else rest[8:]
        elif number in _EXTENSIONS and len(rest) >= 8:
            number, rest = rest[0], rest[(rest[1] + 1) * 8 :]
        else:
            break
    return _with_ports(number, packet[8:24], packet[24:40], rest)


def _with_ports(number: int, source: bytes, destination: bytes, rest: bytes) -> Headers:
    name = _NAMES.get(number, str(number))
    begin, end = str(ipaddress.ip_address(source)), str(ipaddress.ip_address(destination))
    if number not in _WITH_PORTS or len(rest) < 4:
        return Headers(name, begin, end)
    source_port, destination_port = struct.unpack("!HH", rest[:4])
    flags: tuple[str, ...] = ()
    if number == _TCP and len(rest) > _TCP_FLAGS_AT:
        bits = rest[_TCP_FLAGS_AT]
        flags = tuple(one for at, one in enumerate(_FLAGS) if bits & (1 << at))
    return Headers(name, begin, end, source_port, destination_port, flags)
