from __future__ import annotations

import pytest

from k3s_rootless import byte_size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (300_000, "292 KiB"),
        (2**20 - 1, "1023 KiB"),
        (2**20, "1.0 MiB"),
        (82_000_000, "78.2 MiB"),
        (2**30 - 1, "1023.9 MiB"),
        (2**30, "1.0 GiB"),
        (5 * 2**40, "5120.0 GiB"),
        (1234.5, "1 KiB"),
    ],
)
def test_a_number_of_bytes_is_one_text(size: float, text: str) -> None:
    assert text == byte_size.text(size)
