"""Tests of the thread that writes and hashes what arrives."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from k3s_rootless.binaries.part import Part, Writer
from tests.largest_file import largest_file

DATA = hashlib.shake_128(b"part").digest(6_000_000)


@pytest.fixture
def part(tmp_path: Path) -> Iterator[Part]:
    path = tmp_path / "x.part"
    with path.open("w+b", buffering=0) as file:
        yield Part(file, path)


@pytest.mark.parametrize("piece", [1_000, 16_384, 300_000, 6_000_000])
def test_pieces_of_any_size_are_written_and_hashed_in_order(part: Part, piece: int) -> None:
    with Writer(part) as writer:
        for at in range(0, len(DATA), piece):
            writer.add(DATA[at : at + piece])

    assert DATA == part.path.read_bytes()
    assert hashlib.sha256(DATA).digest() == part.digest.digest()
    assert len(DATA) == part.size


def test_a_few_bytes_do_not_wait_for_more(part: Part) -> None:
    with Writer(part) as writer:
        writer.add(b"few")
        while not part.path.stat().st_size:
            pass  # the timeout of the test ends this if they are never written

        assert b"few" == part.path.read_bytes()


def test_what_arrived_before_an_interrupt_is_kept(part: Part) -> None:
    def interrupted() -> None:
        with Writer(part) as writer:
            writer.add(DATA)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert DATA == part.path.read_bytes()


def test_no_more_than_some_memory_waits_for_a_slow_disk(tmp_path: Path) -> None:
    """The reader of a pipe is slower than the transfer; every byte arrives all the same."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        found = hashlib.sha256()
        while data := os.read(reading, 65536):
            found.update(data)
        os._exit(int(found.digest() != hashlib.sha256(DATA * 3).digest()))
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as file, Writer(Part(file, tmp_path)) as writer:
        for _ in range(3):
            writer.add(DATA)
    _, status = os.waitpid(child, 0)

    assert 0 == status


@pytest.mark.parametrize("more", [0, 10_000_000])
def test_an_error_of_the_disk_reaches_the_transfer(part: Part, more: int) -> None:
    def written() -> None:
        with Writer(part) as writer:
            writer.add(DATA)
            for _ in range(0, more, 1_000_000):
                writer.add(bytes(1_000_000))

    with largest_file(1_000_000), pytest.raises(OSError, match="File too large"):
        written()
