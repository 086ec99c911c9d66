from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.k3s import features
from k3s_rootless.k3s.features import Since, UnitVariant
from k3s_rootless.k3s.version import Version
from tests.strategies import version, versions

PLAIN, FUSE = UnitVariant.PLAIN, UnitVariant.FUSE_OVERLAYFS


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("v0.9.1", None),
        ("v1.17.4+k3s1", None),
        ("v1.20.15+k3s1", None),
        ("v1.21.0-alpha1+k3s1", PLAIN),
        ("v1.21.0+k3s1", PLAIN),
        ("v1.21.3-rc1+k3s1", PLAIN),
        ("v1.21.14+k3s1", PLAIN),
        ("v1.22.0-alpha1+k3s1", FUSE),
        ("v1.22.2+k3s1", FUSE),
        ("v1.23.6+k3s1", FUSE),
        ("v1.24.2+k3s2", FUSE),
        ("v1.36.0+k3s1", FUSE),
        ("v1.30.5+k3s-74ce150e", FUSE),
        ("v2.0.0+k3s1", FUSE),
    ],
)
def test_each_release_has_its_unit(release: str, expected: UnitVariant | None) -> None:
    assert features.unit_variant(version(release)) is expected


def test_the_two_units_differ_in_the_snapshotter() -> None:
    assert "server --rootless" == PLAIN.value
    assert "server --rootless --snapshotter=fuse-overlayfs" == FUSE.value


TABLE = {
    "FIRST_UNIT": (
        features.FIRST_UNIT,
        "v1.20.15+k3s1",
        "v1.21.0-alpha1+k3s1 v1.21.0+k3s1 v1.36.0+k3s1",
    ),
    "CONTROLLERS_REQUIRED": (
        features.CONTROLLERS_REQUIRED,
        "v1.20.15+k3s1 v1.21.14+k3s1",
        "v1.22.2+k3s1 v1.36.0+k3s1",
    ),
    "FIXED_STATE_DIRECTORY": (
        features.FIXED_STATE_DIRECTORY,
        (
            "v1.21.2+k3s1 v1.25.16+k3s4 v1.26.13+k3s2 v1.26.14-rc1+k3s1 v1.27.10+k3s2 v1.28.6+k3s2"
            " v1.29.1+k3s2"
        ),
        (
            "v1.26.14+k3s1 v1.26.14-k3s1 v1.27.11+k3s1 v1.28.7+k3s1 v1.29.2+k3s1 v1.29.2+k3s2"
            " v1.30.0-rc1+k3s1 v1.36.0+k3s1"
        ),
    ),
    "NODE_PORTS_FORWARDED": (
        features.NODE_PORTS_FORWARDED,
        "v1.25.16+k3s4 v1.26.14+k3s1 v1.27.11+k3s1 v1.28.7+k3s1 v1.29.2+k3s1 v1.29.3-rc1+k3s1",
        "v1.26.15+k3s1 v1.27.12+k3s1 v1.28.8+k3s1 v1.29.3+k3s1 v1.30.0+k3s1 v1.35.0+k3s1",
    ),
    "UDP_FORWARDED": (
        features.UDP_FORWARDED,
        (
            "v1.30.14+k3s2 v1.31.14+k3s1 v1.32.11+k3s1 v1.33.7+k3s2 v1.34.2+k3s1 v1.34.3+k3s1"
            " v1.35.0-rc1+k3s1"
        ),
        (
            "v1.32.11+k3s3 v1.32.12+k3s1 v1.33.7+k3s3 v1.34.3+k3s3 v1.34.3+k3s10 v1.35.0+k3s1"
            " v1.36.0-rc1+k3s1 v2.0.0"
        ),
    ),
}
ROWS = [
    pytest.param(since, release, expected, id=f"{name} {'in' if expected else 'not in'} {release}")
    for name, (since, without, having) in TABLE.items()
    for releases, expected in ((without, False), (having, True))
    for release in releases.split()
]


@pytest.mark.parametrize(("since", "release", "expected"), ROWS)
def test_each_change_is_in_its_releases(since: Since, release: str, *, expected: bool) -> None:
    assert expected == since.holds(version(release))


@given(st.sampled_from([since for since, _, _ in TABLE.values()]), versions(), versions())
def test_later_releases_of_a_line_keep_a_change(since: Since, one: Version, other: Version) -> None:
    older, newer = sorted((one, other))

    assert older.line != newer.line or since.holds(newer) >= since.holds(older)


@given(versions(), versions(), st.permutations(["v1.26.14+k3s1", "v1.27.11+k3s1", "v1.29.2+k3s1"]))
def test_a_line_without_the_change_does_not_have_it(
    one: Version, other: Version, texts: list[str]
) -> None:
    since = Since.of(*texts)

    assert since.firsts == tuple(version(text) for text in sorted(texts))
    assert not since.holds(version("v1.28.99+k3s1"))
    assert since.holds(one) == since.holds(other) or one != other


@pytest.mark.parametrize(
    ("broken", "repaired"),
    [
        ("v1.35.1+k3s1", "v1.35.2+k3s1"),
        ("v1.34.4+k3s1", "v1.34.5+k3s1"),
        ("v1.33.8+k3s1", "v1.33.9+k3s1"),
        ("v1.32.12+k3s1", "v1.32.13+k3s1"),
    ],
)
def test_a_broken_release_has_a_release_that_fixes_it(broken: str, repaired: str) -> None:
    assert repaired == features.repaired_by(version(broken))
    assert features.repaired_by(version(repaired)) is None
    assert version(broken) < version(repaired)


@pytest.mark.parametrize(
    "release", ["v1.35.0+k3s1", "v1.34.3+k3s3", "v1.33.7+k3s3", "v1.32.11+k3s3", "v1.31.14+k3s1"]
)
def test_the_releases_before_the_broken_ones_are_sound(release: str) -> None:
    assert features.repaired_by(version(release)) is None


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        *((1, 10001), (53, 10053), (80, 10080), (443, 10443), (1023, 11023), (1024, 11024)),
        *((1025, 1025), (6443, 6443), (8080, 8080), (10080, 10080), (30080, 30080), (65535, 65535)),
    ],
)
def test_ports_of_services_are_offset_up_to_and_including_1024(child: int, parent: int) -> None:
    assert parent == features.child_to_parent_port(child)


def test_no_port_of_the_host_is_a_privileged_one_or_out_of_range() -> None:
    parents = [features.child_to_parent_port(port) for port in range(1, 65536)]

    assert all(1024 < port < 65536 for port in parents)
    shared = [port for port, twice in itertools.groupby(sorted(parents)) if len(list(twice)) > 1]
    assert shared == list(range(10001, 11025))
