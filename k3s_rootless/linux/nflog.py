"""Read the packets that netfilter's target NFLOG copies, in another network namespace.

A child process joins the user and network namespace, opens the netlink socket there, and passes it
to this process. A socket stays in the network namespace in which it was opened, so that this
process can read it from outside, with the network and the files of the host. The kernel ends the
subscription with the last descriptor of the socket.

The kernel has one reader for each group in a network namespace (Linux 5.8 to 6.18,
net/netfilter/nfnetlink_log.c).
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from pyroute2.netlink import nla
from pyroute2.netlink.nfnetlink import NFNL_SUBSYS_ULOG, nfgen_msg

from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import setns, user_namespace

_PACKET, _CONFIG = NFNL_SUBSYS_ULOG << 8, NFNL_SUBSYS_ULOG << 8 | 1
_REQUEST_AND_ACK = 0x1 | 0x4
"""NLM_F_REQUEST and NLM_F_ACK (linux/netlink.h)."""
_ERROR = 2
_BIND, _COPY_PACKET, _SEQUENCE = 1, 2, 1
"""NFULNL_CFG_CMD_BIND, NFULNL_COPY_PACKET, NFULNL_CFG_F_SEQ (linux/netfilter/nfnetlink_log.h)."""
_COPIED = 128
"""Bytes of each packet: the headers, and not the data."""
_LARGEST = 256 * 1024
_SECONDS = 10.0
_ENTER, _SUBSCRIBE = b"e", b"s"
"""The steps of the child, of which it reports the one that failed."""


class _ConfigMessage(nfgen_msg):  # type: ignore[misc]
    nla_map = (
        ("NFULA_CFG_UNSPEC", "none"),
        ("NFULA_CFG_CMD", "uint8"),
        ("NFULA_CFG_MODE", "mode"),
        ("NFULA_CFG_NLBUFSIZ", "be32"),
        ("NFULA_CFG_TIMEOUT", "be32"),
        ("NFULA_CFG_QTHRESH", "be32"),
        ("NFULA_CFG_FLAGS", "be16"),
    )

    class mode(nla):  # type: ignore[misc]  # noqa: N801 (pyroute2 finds it by this name)
        fields = (("range", ">I"), ("copy", "B"), ("pad", "B"))


class _PacketMessage(nfgen_msg):  # type: ignore[misc]
    nla_map = (
        ("NFULA_UNSPEC", "none"),
        ("NFULA_PACKET_HDR", "hex"),
        ("NFULA_MARK", "be32"),
        ("NFULA_TIMESTAMP", "time"),
        ("NFULA_IFINDEX_INDEV", "be32"),
        ("NFULA_IFINDEX_OUTDEV", "be32"),
        ("NFULA_IFINDEX_PHYSINDEV", "be32"),
        ("NFULA_IFINDEX_PHYSOUTDEV", "be32"),
        ("NFULA_HWADDR", "hex"),
        ("NFULA_PAYLOAD", "cdata"),
        ("NFULA_PREFIX", "cdata"),
        ("NFULA_UID", "be32"),
        ("NFULA_SEQ", "be32"),
    )

    class time(nla):  # type: ignore[misc]  # noqa: N801
        fields = (("seconds", ">Q"), ("microseconds", ">Q"))


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet: the prefix of the rule, its first bytes, and the number of packets lost before.

    `time` is in seconds since 1970; None if the kernel took no time.
    """

    prefix: str
    data: bytes
    time: float | None = None
    lost: int = 0


class Reader:
    """The reader of one group. Use it with contextlib.closing."""

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._next: int | None = None
        self._overflowed = False

    @property
    def overflowed(self) -> bool:
        """True once, if the kernel had packets for which the socket had no room."""
        was, self._overflowed = self._overflowed, False
        return was

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._socket.fileno()

    def read(self) -> Iterator[Packet]:
        """Yield the packets that have arrived, without waiting. Raises RootlessError."""
        while select.select([self._socket], [], [], 0)[0]:
            try:
                received = self._socket.recv(_LARGEST)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise RootlessError(f"cannot read packets: {_reason(error)}") from error
                self._overflowed = True
                continue
            for message in _messages(received):
                yield self._packet(message)

    def close(self) -> None:
        """End the subscription."""
        self._socket.close()

    def _packet(self, message: bytes) -> Packet:
        decoded = _PacketMessage(message)
        decoded.decode()
        attributes = dict(decoded["attrs"])
        number = attributes.get("NFULA_SEQ")
        lost = 0
        if number is not None:
            if self._next is not None:
                lost = (number - self._next) % 2**32
            self._next = (number + 1) % 2**32
        prefix = bytes(attributes.get("NFULA_PREFIX") or b"").rstrip(b"\0")
        return Packet(
            prefix.decode("utf-8", "replace"),
            bytes(attributes.get("NFULA_PAYLOAD") or b""),
            _time(attributes.get("NFULA_TIMESTAMP")),
            lost,
        )


def open_in(directory: int, group: int) -> Reader:
    """Subscribe to a group in the network namespace of a process.

    `directory` is a descriptor of its directory in /proc. Raises RootlessError.
    """
    users, network = _open(directory, "ns/user"), _open(directory, "ns/net")
    try:
        return Reader(_subscribed(users, network, group))
    finally:
        os.close(users)
        os.close(network)


def _subscribed(users: int, network: int, group: int) -> socket.socket:
    """Open the socket in a child, and receive it."""
    requests = _requests(group)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def prepare() -> bytes:
        step = _ENTER
        try:
            setns.join_network(network)
            step = _SUBSCRIBE
            with closing(_opened(requests)) as found:
                socket.send_fds(theirs, [step], [found.fileno()])
        except OSError as error:
            theirs.send(step + str(error.errno or errno.EIO).encode())
        return b""

    with closing(ours), closing(theirs):
        child = user_namespace.Child(prepare, bytes, keep=(network, theirs.fileno()), joined=users)
        theirs.close()  # so that the end of the child is noticed
        try:
            return _received(child, ours, group)
        finally:
            child.end()


def _received(child: user_namespace.Child, ours: socket.socket, group: int) -> socket.socket:
    code = child.error()
    if code:
        raise _not_entered(os.strerror(code).lower())
    ours.settimeout(_SECONDS)
    try:
        answer, passed, _, _ = socket.recv_fds(ours, 16, 1, socket.MSG_CMSG_CLOEXEC)
    except OSError as error:
        raise _not_entered(_reason(error)) from error
    if passed:
        return socket.socket(fileno=passed[0])
    code = int(answer[1:] or errno.EIO)
    if answer[:1] == _SUBSCRIBE:
        raise _refusal(code, group)
    raise _not_entered(os.strerror(code).lower())


def _not_entered(reason: str) -> RootlessError:
    return RootlessError(
        f"cannot enter K3s's network namespace: {reason}",
        hint="check that K3s runs: k3s-rootless status",
    )


def _refusal(code: int, group: int) -> RootlessError:
    if code in {errno.EPERM, errno.EBUSY}:
        return RootlessError(
            f"cannot read NFLOG group {group}: another program reads it, and the kernel has one"
            " reader for each group",
            hint="end that program: another `policies log`, tcpdump, tshark or ulogd; find it with:"
            " ps -fu $(id -u)",
        )
    if code in {errno.EINVAL, errno.EPROTONOSUPPORT, errno.ENOENT, errno.EOPNOTSUPP}:
        return RootlessError(
            f"cannot read NFLOG group {group}: the kernel has no module nfnetlink_log",
            hint="check it with: k3s-rootless check kernel.nflog",
        )
    return RootlessError(f"cannot read NFLOG group {group}: {os.strerror(code).lower()}")


def _opened(requests: list[bytes]) -> socket.socket:
    """Open the socket, and send the requests. Raises OSError."""
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 12)
    try:
        opened.bind((0, 0))
        opened.settimeout(_SECONDS)
        for request in requests:
            opened.send(request)
            # After the first request, packets can arrive before the answer to the second one.
            while not _is_answer(opened.recv(_LARGEST)):
                pass
        opened.settimeout(0)
    except BaseException:
        opened.close()
        raise
    return opened


def _is_answer(message: bytes) -> bool:
    """Return whether a message is the answer to a request; raise OSError if it is an error."""
    # `struct nlmsgerr` (linux/netlink.h): a negative error number, 0 for success.
    if struct.unpack_from("=H", message, 4)[0] != _ERROR:
        return False
    code = -struct.unpack_from("=i", message, 16)[0]
    if code:
        raise OSError(code, os.strerror(code))
    return True


def _requests(group: int) -> list[bytes]:
    mode = {"range": _COPIED, "copy": _COPY_PACKET, "pad": 0}
    # A threshold of 1 sends each packet at once; the default collects packets for a second.
    settings = [
        ("NFULA_CFG_MODE", mode),
        ("NFULA_CFG_QTHRESH", 1),
        ("NFULA_CFG_FLAGS", _SEQUENCE),
    ]
    return [_request(group, [("NFULA_CFG_CMD", _BIND)]), _request(group, settings)]


def _request(group: int, attributes: list[tuple[str, Any]]) -> bytes:
    message = _ConfigMessage()
    message["res_id"] = group
    message["header"]["type"] = _CONFIG
    message["header"]["flags"] = _REQUEST_AND_ACK
    message["attrs"] = attributes
    message.encode()
    return bytes(message.data)


def _messages(received: bytes) -> Iterator[bytes]:
    """Yield the messages of a datagram that hold packets."""
    at = 0
    while at + 16 <= len(received):
        size, kind = struct.unpack_from("=IH", received, at)
        if size < 16 or at + size > len(received):
            return
        if kind == _PACKET:
            yield received[at : at + size]
        at += (size + 3) & ~3


def _time(found: Any) -> float | None:  # noqa: ANN401 (pyroute2 has no types)
    if found is None:
        return None
    seconds: float = found["seconds"] + found["microseconds"] / 1e6
    return seconds


def _open(directory: int, name: str) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    except OSError as error:
        raise _not_entered(_reason(error)) from error


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
