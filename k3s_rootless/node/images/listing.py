"""Read the JSON of crictl, and judge which images can be removed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

from k3s_rootless.json_fields import Json, each, field, optional, parsing, typed
from k3s_rootless.node.images import references
from k3s_rootless.node.images.facts import Container, Image

_UNTAGGED = "<none>:<none>"


def images(printed: str) -> tuple[Image, ...]:
    """Return the images in the output of `crictl images -o json`, sorted by name.

    Raises PeerError.
    """
    with parsing("the images that crictl lists"):
        found = each(typed(json.loads(printed), dict), "images", _image)
    return tuple(sorted(found, key=lambda one: (one.text, one.id)))


def containers(printed: str) -> tuple[Container, ...]:
    """Return the containers in the output of `crictl ps --all -o json`. Raises PeerError."""
    with parsing("the containers that crictl lists"):
        found = each(typed(json.loads(printed), dict), "containers", _container)
    return tuple(one for pair in found for one in pair)


def with_users(
    found: Iterable[Image], users: Iterable[Container], preloaded: frozenset[str]
) -> tuple[Image, ...]:
    """Return the images with the names of their containers, and whether they are preloaded."""
    known = tuple(users)
    joined = []
    for image in found:
        own = {image.id, *image.names}
        used_by = {
            one.name for one in known if one.image in own or references.full(one.image) in own
        }
        joined.append(
            replace(
                image,
                used_by=tuple(sorted(used_by)),
                preloaded=not preloaded.isdisjoint(image.names),
            )
        )
    return tuple(joined)


def removable(found: Iterable[Image], pause: str) -> tuple[Image, ...]:
    """Return the images that nothing needs: not pinned, not preloaded, without a container.

    `pause` is the image of K3s's pods themselves, which no container shows.
    """
    kept = references.full(pause)
    return tuple(
        one
        for one in found
        if not (one.pinned or one.preloaded or one.used_by or kept in one.names or _is_pause(one))
    )


def _is_pause(image: Image) -> bool:
    return any("/mirrored-pause:" in name for name in image.names)


def _image(element: object) -> Image:
    found: Json = typed(element, dict)
    tags = each(found, "repoTags", lambda one: typed(one, str))
    size = optional(found, "size", str) or "0"
    return Image(
        id=field(found, "id", str),
        names=tuple(sorted(tag for tag in tags if tag != _UNTAGGED)),
        size=int(size),
        pinned=bool(optional(found, "pinned", bool)),
    )


def _container(element: object) -> tuple[Container, ...]:
    """Return a container once for each name of its image: as requested, and as resolved."""
    found: Json = typed(element, dict)
    labels: Json = optional(found, "labels", dict) or {}
    pod = str(labels.get("io.kubernetes.pod.name") or "")
    space = str(labels.get("io.kubernetes.pod.namespace") or "")
    name = f"{space}/{pod}" if pod else field(found, "id", str)
    image: Json = optional(found, "image", dict) or {}
    shown = (optional(image, "image", str), optional(found, "imageRef", str))
    return tuple(Container(name, one) for one in shown if one)
