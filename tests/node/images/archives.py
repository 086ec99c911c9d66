"""Image archives as podman, docker and buildah write them, without layers."""

from __future__ import annotations

import gzip
import io
import json
import sys
import tarfile
from collections.abc import Mapping, Sequence

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CONFIG = b'{"architecture": "amd64", "os": "linux"}'
LAYER = bytes(range(256)) * 4096


def docker(*names: str, layer: bytes = LAYER) -> bytes:
    """Return an archive of `docker save`."""
    manifest = [{"Config": "config.json", "RepoTags": list(names), "Layers": ["layer.tar"]}]
    return tar(
        {
            "config.json": CONFIG,
            "layer.tar": layer,
            "manifest.json": json.dumps(manifest).encode(),
        }
    )


def oci(annotations: Sequence[Mapping[str, str]], layer: bytes = LAYER) -> bytes:
    """Return an OCI archive with an image for each of the annotations."""
    manifests = [
        {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": f"sha256:{number:064x}",
            "size": 1,
            "annotations": dict(one),
        }
        for number, one in enumerate(annotations)
    ]
    return tar(
        {
            "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
            "blobs/sha256/abc": layer,
            "index.json": json.dumps({"schemaVersion": 2, "manifests": manifests}).encode(),
        }
    )


def tar(files: Mapping[str, bytes]) -> bytes:
    """Return a tar archive with these files."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return written.getvalue()


def gzipped(content: bytes) -> bytes:
    """Return the content with gzip, in two members."""
    half = len(content) // 2
    return gzip.compress(content[:half], 1) + gzip.compress(content[half:], 1)


def zstandard(content: bytes) -> bytes:
    """Return the content with zstd, in two frames."""
    half = len(content) // 2
    return bytes(zstd.compress(content[:half]) + zstd.compress(content[half:]))
