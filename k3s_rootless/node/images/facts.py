"""Records of container images and of archives that contain images."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Image:
    """An image that containerd has.

    `names` are its tags, such as `docker.io/library/app:1`. `size` is in bytes. K3s and the kubelet
    never remove a `pinned` image. `used_by` are the names of its containers, ended ones included.
    `preloaded` is true if an archive in K3s's directory for images contains it.
    """

    id: str
    names: tuple[str, ...]
    size: int
    pinned: bool = False
    preloaded: bool = False
    used_by: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The name of the image, or else its id."""
        return next(iter(self.names), self.id)


@dataclass(frozen=True, slots=True)
class Container:
    """A container of containerd, with the image that it was created from (a name or an id)."""

    name: str
    image: str


class Compression(Enum):
    """How an archive is compressed; the value is the usual ending of its name."""

    NONE = ".tar"
    GZIP = ".tar.gz"
    ZSTD = ".tar.zst"


@dataclass(frozen=True, slots=True)
class Archive:
    """The content of an archive: the names of its images, as containerd writes them.

    `unnamed` is the number of images without a name of their own.
    """

    names: tuple[str, ...]
    unnamed: int = 0
