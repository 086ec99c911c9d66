from __future__ import annotations

import json

import pytest

from k3s_rootless.errors import PeerError
from k3s_rootless.k3s.version import parse
from k3s_rootless.node.images import importing, listing, references
from k3s_rootless.node.images.facts import Container, Image

PAUSE = "rancher/mirrored-pause:3.10.2"
_DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("app", "docker.io/library/app:latest"),
        ("app:1", "docker.io/library/app:1"),
        ("team/app", "docker.io/team/app:latest"),
        ("docker.io/app:1", "docker.io/library/app:1"),
        ("localhost/app:1", "localhost/app:1"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("quay.io/team/app:1", "quay.io/team/app:1"),
        (f"app@{_DIGEST}", f"docker.io/library/app@{_DIGEST}"),
    ],
)
def test_a_name_is_written_in_full_as_containerd_does(name: str, full: str) -> None:
    assert full == references.full(name)
    assert full == references.full(full)


def test_latest_is_recognised_also_if_it_is_not_written() -> None:
    assert references.is_latest("app")
    assert references.is_latest("localhost:5000/app:latest")
    assert not references.is_latest("app:1")


def test_images_of_crictl_are_read() -> None:
    printed = json.dumps(
        {
            "images": [
                {
                    "id": "sha256:1",
                    "repoTags": ["localhost/b:1", "localhost/a:1"],
                    "repoDigests": [],
                    "size": "12",
                    "uid": None,
                    "username": "",
                    "spec": None,
                    "pinned": True,
                },
                {"id": "sha256:2", "repoTags": [], "size": "3"},
            ]
        }
    )

    assert (
        Image("sha256:1", ("localhost/a:1", "localhost/b:1"), 12, pinned=True),
        Image("sha256:2", (), 3),
    ) == listing.images(printed)
    assert () == listing.images('{"images": null}')


@pytest.mark.parametrize("printed", ["", "[]", '{"images": [{}]}', '{"images": [{"id": 1}]}'])
def test_another_document_is_refused(printed: str) -> None:
    with pytest.raises(PeerError, match="cannot parse the images that crictl lists"):
        listing.images(printed)


def test_containers_name_their_pod_and_each_name_of_their_image() -> None:
    labels = {"io.kubernetes.pod.name": "web-1", "io.kubernetes.pod.namespace": "default"}
    one = {"id": "abc", "image": {"image": "sha256:1"}, "labels": labels}
    printed = json.dumps({"containers": [one, {"id": "def", "image": {"image": "app"}}]})

    assert (Container("default/web-1", "sha256:1"), Container("def", "app")) == (
        listing.containers(printed)
    )
    resolved = {"containers": [{**one, "imageRef": "sha256:2"}]}
    assert ["sha256:1", "sha256:2"] == [
        found.image for found in listing.containers(json.dumps(resolved))
    ]


def test_only_images_that_nothing_needs_can_be_removed() -> None:
    found = (
        Image("sha256:1", ("docker.io/library/app:1",), 1),
        Image("sha256:2", ("localhost/used:1",), 1),
        Image("sha256:3", ("localhost/pinned:1",), 1, pinned=True),
        Image("sha256:4", ("localhost/preloaded:1",), 1),
        Image("sha256:5", ("docker.io/rancher/mirrored-pause:3.10.2",), 1),
        Image("sha256:6", ("docker.io/rancher/mirrored-pause:3.6",), 1),
        Image("sha256:7", (), 1),
        Image("sha256:8", ("localhost/by-id:1",), 1),
    )
    users = (Container("default/a", "localhost/used:1"), Container("default/b", "sha256:8"))

    joined = listing.with_users(found, users, frozenset({"localhost/preloaded:1"}))

    assert ["sha256:1", "sha256:7"] == [one.id for one in listing.removable(joined, PAUSE)]
    assert ("default/b",) == joined[7].used_by


def test_a_container_can_name_its_image_without_registry() -> None:
    joined = listing.with_users(
        (Image("sha256:1", ("docker.io/library/app:latest",), 1),),
        (Container("default/a", "app"),),
        frozenset(),
    )

    assert () == listing.removable(joined, PAUSE)


@pytest.mark.parametrize(
    ("release", "snapshotter", "options"),
    [
        ("v1.36.3+k3s1", "fuse-overlayfs", "--local --snapshotter fuse-overlayfs"),
        ("v1.31.6+k3s1", "overlayfs", "--local --snapshotter overlayfs"),
        ("v1.32.1+k3s1", "fuse-overlayfs", "--snapshotter fuse-overlayfs"),
        ("v1.21.14+k3s1", "native", "--snapshotter native"),
        ("v1.36.3+k3s1", "stargz", "--no-unpack"),
        ("", "fuse-overlayfs", "--local --snapshotter fuse-overlayfs"),
    ],
)
def test_an_archive_is_unpacked_for_the_snapshotter_of_k3s(
    release: str, snapshotter: str, options: str
) -> None:
    expected = ("ctr", "images", "import", *options.split(), "-")

    assert expected == importing.words(parse(release), snapshotter)
