"""PersistentVolumes as Kubernetes encodes them (tests/data/persistent-volumes.go)."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.backup import persistent_volumes
from k3s_rootless.backup.persistent_volumes import PREFIX, PersistentVolume
from k3s_rootless.k3s import protobuf

DATA = Path(__file__).parents[1] / "data/persistent-volumes.json"
ENCODED = {
    kind: {name: base64.b64decode(text) for name, text in objects.items()}
    for kind, objects in json.loads(DATA.read_text("utf-8")).items()
}
STORAGE = "/home/alice/.rancher/k3s/storage"
EXPECTED = (
    ("pvc-local", "local", f"{STORAGE}/pvc-local_default_data", ("node1",), "default/data"),
    ("pvc-host", "hostPath", f"{STORAGE}/pvc-host_default_old", ("node1",), "default/old"),
    ("by-hand", "hostPath", "/home/alice/data", (), ""),
    ("elsewhere", "local", "/srv/k3s-rootless-test/data", ("node1",), ""),
    ("other-node", "local", f"{STORAGE}/pvc-local_default_data", ("node7",), ""),
    ("nfs", "", "", (), "default/shared"),
)
KINDS = ("protobuf", "json")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("expected", EXPECTED, ids=lambda one: one[0])
def test_a_stored_volume_is_read(
    expected: tuple[str, str, str, tuple[str, ...], str], kind: str
) -> None:
    name = expected[0]

    found = persistent_volumes.read(7, f"{PREFIX}{name}", ENCODED[kind][name])

    assert found == PersistentVolume(7, *expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [one[0] for one in EXPECTED if one[1]])
def test_a_moved_volume_is_what_kubernetes_would_store(name: str, kind: str) -> None:
    """Byte by byte what Kubernetes encodes for the same object with another path."""
    value = ENCODED[kind][name]
    volume = persistent_volumes.read(7, f"{PREFIX}{name}", value)

    found = persistent_volumes.moved(volume, value, f"/home/bob/{'long/' * 60}{name}")

    assert found == ENCODED[f"{kind}-moved"][name]
    back = persistent_volumes.read(7, f"{PREFIX}{name}", found)
    assert persistent_volumes.moved(back, found, volume.path) == value


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"junk",
        b"k8s:enc:aescbc:v1:key1:\x01\x02",
        b"k8s\x00\xff",
        b"k8s\x00\x12\xff\x01a",
        b"{}",
        b'{"spec": []}',
        b"{",
        protobuf.MAGIC + b"\x12\x00\x1a\x04gzip",
    ],
)
def test_other_values_are_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="cannot read the PersistentVolume a"):
        persistent_volumes.read(1, f"{PREFIX}a", value)


def test_an_unusual_encoding_is_not_changed() -> None:
    """A length in more bytes than necessary would be written in another way."""
    value = ENCODED["protobuf"]["by-hand"]
    path = b"/home/alice/data"
    at = value.index(bytes([10, len(path)]) + path)
    volume = persistent_volumes.read(1, f"{PREFIX}by-hand", value)
    raw = protobuf.first(protobuf.stored(value), 2)
    spec = protobuf.first(raw, 2)
    source = protobuf.first(spec, 2)
    host = protobuf.first(source, 3)
    assert path in host
    assert at > 0
    long = host.replace(bytes([10, len(path)]), bytes([10, len(path) | 0x80, 0]))
    unusual = protobuf.MAGIC + protobuf.replaced(protobuf.stored(value), (2, 2, 2, 3), long)

    with pytest.raises(ValueError, match="its encoding is unusual"):
        persistent_volumes.moved(volume, unusual, "/home/bob/data")


def test_a_field_that_is_there_twice_is_not_changed() -> None:
    value = ENCODED["protobuf"]["by-hand"]
    volume = persistent_volumes.read(1, f"{PREFIX}by-hand", value)
    host = protobuf.first(protobuf.stored(value), 2, 2, 2, 3)
    twice = protobuf.replaced(protobuf.stored(value), (2, 2, 2, 3), host + host)

    with pytest.raises(ValueError, match="2 fields 1 instead of one"):
        persistent_volumes.moved(volume, protobuf.MAGIC + twice, "/home/bob/data")


@given(
    value=st.sampled_from(tuple(ENCODED["protobuf"].values())),
    cut=st.integers(0, 2000),
    flip=st.integers(0, 10**5),
)
def test_damaged_objects_raise_nothing_else(value: bytes, cut: int, flip: int) -> None:
    damaged = bytearray(value)
    damaged[flip % len(damaged)] ^= 1 << flip % 8
    content = bytes(damaged[: max(4, len(damaged) - cut)])
    try:
        found = persistent_volumes.read(1, f"{PREFIX}a", content)
        if found.source:
            persistent_volumes.moved(found, content, "/x")
    except ValueError:
        return


@given(content=st.binary(max_size=400))
def test_only_the_path_changes(content: bytes) -> None:
    value = protobuf.stored(ENCODED["protobuf"]["pvc-local"])
    place = (2, 2, 2, 20, 1)

    found = protobuf.replaced(value, place, content)

    assert protobuf.first(found, *place) == content
    assert protobuf.replaced(found, place, protobuf.first(value, *place)) == value
