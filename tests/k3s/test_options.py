from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.k3s.node_labels import contradiction
from k3s_rootless.k3s.options import OPTIONS, REFUSED
from tests.standin.k3s_standin.known_flags import SWITCHES, VALUES
from tests.strategies import version

NEW, OLD = "v1.36.1+k3s1", "v1.21.2+k3s1"


@pytest.mark.parametrize(
    ("name", "text", "release", "expected"),
    [
        ("snapshotter", "native", OLD, "native"),
        ("snapshotter", "stargz", "v1.22.2+k3s1", "stargz"),
        ("snapshotter", "nix", "v1.34.6+k3s1", "nix"),
        ("node-label", "a=b", NEW, "a=b"),
        ("node-label", "example.com/rack=", NEW, "example.com/rack="),
        (
            "node-label",
            "node.kubernetes.io/instance-type=big",
            NEW,
            "node.kubernetes.io/instance-type=big",
        ),
        ("node-label", "x.node.kubernetes.io/y=z", NEW, "x.node.kubernetes.io/y=z"),
        ("node-taint", "a=b:NoSchedule", NEW, "a=b:NoSchedule"),
        ("node-taint", "a:NoExecute", NEW, "a:NoExecute"),
        ("disable", "servicelb", NEW, "servicelb"),
        ("https-listen-port", "07443", NEW, "7443"),
        ("cluster-init", "T", NEW, "true"),
        ("selinux", "0", NEW, "false"),
        ("prefer-bundled-bin", "true", "v1.24.9+k3s1", "true"),
        ("data-dir", "/srv//k3s/./data/", NEW, "/srv/k3s/data"),
        ("data-dir", "/home/é/my data", NEW, "/home/é/my data"),
        ("data-dir", "/runner/k3s", NEW, "/runner/k3s"),
    ],
)
def test_a_value_that_k3s_accepts_is_read_in_its_spelling(
    name: str, text: str, release: str, expected: str
) -> None:
    assert expected == OPTIONS[name].read(text, version(release))
    assert expected == OPTIONS[name].read(expected, None), "a value is read back unchanged"


@pytest.mark.parametrize(
    ("name", "text", "release", "reason"),
    [
        ("snapshotter", "zfs", NEW, "it must be one of fuse-overlayfs"),
        ("snapshotter", "Native", NEW, "it must be one of"),
        ("snapshotter", "stargz", "v1.21.14+k3s1", "the first releases with it are v1.22.2"),
        ("snapshotter", "nix", "v1.35.2+k3s1", "does not have it"),
        ("node-label", "a", NEW, "KEY=VALUE"),
        ("node-label", "=b", NEW, "not a valid Kubernetes name"),
        ("node-label", "a b=c", NEW, "not a valid Kubernetes name"),
        ("node-label", "a=b c", NEW, "at most 63"),
        ("node-label", f"a={'b' * 64}", NEW, "at most 63"),
        ("node-label", "kubernetes.io/mine=1", NEW, "K3s would not start"),
        ("node-label", "node-role.kubernetes.io/x=1", NEW, "K3s would not start"),
        ("node-taint", "a=b", NEW, "KEY=VALUE:EFFECT"),
        ("node-taint", "a=b:noschedule", NEW, "NoSchedule"),
        ("disable", "a,b", NEW, "not a component name"),
        ("https-listen-port", "0", NEW, "from 1 to 65535"),
        ("https-listen-port", "70000", NEW, "from 1 to 65535"),
        ("https-listen-port", "\u0667", NEW, "from 1 to 65535"),
        ("https-listen-port", "10250", NEW, "uses this port in the namespace of K3s"),
        ("cluster-init", "yes", NEW, "true or false"),
        ("prefer-bundled-bin", "true", "v1.23.14+k3s1", "does not have --prefer-bundled-bin"),
        ("data-dir", "k3s", NEW, "not an absolute path"),
        ("data-dir", "/", NEW, "it is `/` or contains"),
        ("data-dir", "/srv/../etc", NEW, "it is `/` or contains"),
        ("data-dir", "/var/lib/k3s", NEW, "temporary file system over /var/lib"),
        ("data-dir", "/run", NEW, "temporary file system over /run"),
        ("data-dir", "/srv/$HOME", NEW, "K3s or systemd cannot use a path with quotes"),
        ("data-dir", "/srv/a\nb", NEW, "K3s or systemd cannot use a path with quotes"),
        ("data-dir", "/srv/\udcff", NEW, "K3s or systemd cannot use a path with quotes"),
        ("data-dir", "/" + "a" * 90, NEW, "would be too long"),
    ],
)
def test_a_value_that_k3s_does_not_accept_is_refused_with_the_reason(
    name: str, text: str, release: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        OPTIONS[name].read(text, version(release))


def test_each_flag_is_one_of_k3s() -> None:
    assert set(OPTIONS) <= SWITCHES | VALUES
    assert set(REFUSED) <= SWITCHES | VALUES
    assert not set(OPTIONS) & set(REFUSED)


@given(st.sampled_from(sorted(OPTIONS)), st.text())
def test_an_accepted_value_fits_on_one_line_and_is_read_back(name: str, text: str) -> None:
    try:
        value = OPTIONS[name].read(text, None)
    except ValueError:
        return

    assert value.isprintable()
    assert not set(value) & set("\\\"'$")
    assert value == OPTIONS[name].read(value, None)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("node-label", ("a=b", "c=d", "a=b"), False),
        ("node-label", ("a=b", "a=c"), True),
        ("node-taint", ("a=b:NoSchedule", "a=b:NoExecute"), False),
        ("node-taint", ("a=b:NoSchedule", "a:NoSchedule"), True),
        ("disable", ("traefik", "coredns"), False),
    ],
)
def test_values_that_contradict_each_other_are_found(
    name: str, values: tuple[str, ...], *, expected: bool
) -> None:
    assert expected is bool(contradiction(name, values))
