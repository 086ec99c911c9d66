from __future__ import annotations

import pytest

from k3s_rootless.binaries import urls
from k3s_rootless.errors import UsageError


@pytest.mark.parametrize(
    "url",
    [
        "http://mirror.example",
        "mirror.example",
        "https://",
        "ftp://x",
        "https://x/?a=b",
        "https://x:y",
        "https://[x",
        "https://x/\n",
    ],
)
def test_a_base_that_is_not_https_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="https://"):
        urls.checked_base(url, "--mirror")


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_a_base_with_a_password_is_refused_without_it(scheme: str) -> None:
    with pytest.raises(UsageError) as raised:
        urls.checked_base(f"{scheme}://alice:secret@mirror.example", "--mirror")

    assert "secret" not in f"{raised.value.message} {raised.value.hint}"


def test_the_slash_at_the_end_of_a_base_is_removed() -> None:
    assert "https://x/k3s" == urls.checked_base("https://x/k3s//", "--mirror")
