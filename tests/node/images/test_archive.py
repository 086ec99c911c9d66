from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.errors import RootlessError
from k3s_rootless.node.images import archive
from k3s_rootless.node.images.facts import Archive, Compression
from tests.node.images import archives

FORMS = {
    "plain": lambda content: content,
    "gzip": archives.gzipped,
    "zstd": archives.zstandard,
}
_NAMED = {"org.opencontainers.image.ref.name": "localhost/app:2"}


def pieces(content: bytes, size: int = 65536) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_names_are_read_while_all_bytes_pass(form: Callable[[bytes], bytes]) -> None:
    plain = archives.docker("app:1", "quay.io/team/app:1")
    passed = io.BytesIO()

    found = archive.scan(pieces(form(plain)), "app.tar", passed.write)

    assert Archive(("docker.io/library/app:1", "quay.io/team/app:1")) == found
    assert plain == passed.getvalue()


@given(size=st.integers(1, 5000))
def test_the_size_of_the_pieces_does_not_matter(size: int) -> None:
    plain = archives.docker("app:1", layer=b"x" * 3000)
    for form in FORMS.values():
        passed = io.BytesIO()

        found = archive.scan(pieces(form(plain), size), "app.tar", passed.write)

        assert ("docker.io/library/app:1",) == found.names
        assert plain == passed.getvalue()


def test_an_oci_archive_has_full_names_and_unnamed_images() -> None:
    tag = {"org.opencontainers.image.ref.name": "latest"}
    content = archives.oci([_NAMED, tag, {}, {"io.containerd.image.name": "quay.io/a/b:1"}])

    assert Archive(("localhost/app:2", "quay.io/a/b:1"), 2) == archive.scan([content], "x")


def test_an_archive_with_both_documents_has_each_name_once() -> None:
    """Docker 25 and later writes such archives."""
    both = {
        "manifest.json": b'[{"RepoTags": ["localhost/app:2"]}]',
        "index.json": b'{"manifests": [{"annotations": {"io.containerd.image.name":'
        b' "localhost/app:2"}}]}',
    }

    assert Archive(("localhost/app:2",)) == archive.scan([archives.tar(both)], "x")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is not an archive of images"),
        (b"\x7fELF" + bytes(5000), "it is not an archive of images"),
        (b"<html>" * 200, "it is not an archive of images"),
        (archives.gzipped(b"text" * 1000), "it is not an archive of images"),
        (archives.tar({"README": b"x"}), "contains no images"),
        (archives.tar({"manifest.json": b"{"}), "its manifest.json does not describe images"),
        (archives.tar({"manifest.json": b'["x"]'}), "its manifest.json does not describe images"),
        (archives.tar({"index.json": b"[]"}), "its index.json does not describe images"),
        (archives.docker("app:1")[:100_000], "damaged or incomplete"),
        (archives.gzipped(archives.docker("app:1"))[:-3], "damaged or incomplete"),
        (archives.zstandard(archives.docker("app:1"))[:-3], "damaged or incomplete"),
        (b"\x1f\x8b" + bytes(5000), "the archive is damaged"),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 5000, "the archive is damaged"),
    ],
    ids=range(13),
)
def test_an_archive_that_is_none_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(RootlessError, match=f"cannot import `app.tar`: .*{reason}"):
        archive.scan(pieces(content), "app.tar")


def test_nothing_passes_of_a_file_that_is_no_archive() -> None:
    passed: list[bytes] = []

    with pytest.raises(RootlessError):
        archive.scan([b"<html>" * 200], "x", passed.append)

    assert [] == passed


@pytest.mark.parametrize(
    ("form", "kind"), list(zip(FORMS.values(), Compression, strict=True)), ids=FORMS
)
def test_the_compression_is_recognised(form: Callable[[bytes], bytes], kind: Compression) -> None:
    assert kind is archive.compression(form(archives.docker("a"))[:8])


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RootlessError, match=r"cannot read `.*/missing`: no such file or directory"):
        archive.scanned(tmp_path / "missing")
    with pytest.raises(RootlessError, match=r"cannot read `.*`: is a directory"):
        archive.scanned(tmp_path)
