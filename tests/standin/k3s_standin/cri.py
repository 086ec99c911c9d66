"""`k3s crictl` and `k3s ctr`: clients of containerd, which run inside the namespaces.

containerd is a socket that accepts connections, and a file with the images. Source: cri-tools
1.36.0 and containerd 2.3 as v1.36.3 packs them, and containerd 1.7 for older releases.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import sys
import tarfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from . import subcommands, unpacking
from .journal import Fatal, Journal
from .release import Release

SOCKET = Path("/run/k3s/containerd/containerd.sock")
_STORE = "agent/containerd/standin-images.json"
_PINNED = "io.cri-containerd.pinned"
_BLOCK = 2**20

Image = dict[str, Any]


def serve(runtime: Path) -> socket.socket:
    """Listen as containerd does; `runtime` is its directory."""
    runtime.mkdir(mode=0o711, parents=True, exist_ok=True)
    path = runtime / SOCKET.name
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(64)
    return listener


def run(program: str, words: list[str], release: Release, journal: Journal) -> int:
    """Run crictl or ctr, and return the exit status."""
    data = subcommands.data_dir(release)
    if not os.environ.get("K3S_STANDIN_UNPACKED"):
        # The program `k3s` finds itself by this link. It leads nowhere if /proc is that of another
        # PID namespace.
        if not Path("/proc/self/exe").exists():
            raise Fatal("readlink /proc/self/exe: no such file or directory")
        unpacking.unpack(data, journal)
    if not words or words[0] in {"--help", "-h", "--version"}:
        print(f"NAME:\n   {program}")
        return 0
    try:
        _dial(program)
        if program == "crictl":
            return _crictl(words, data)
        return _ctr(words, data, release)
    except _Failed as error:
        print(error, file=sys.stderr)
        return 1


class _Failed(Exception):
    """The program ends with this line on stderr."""


def _dial(program: str) -> None:
    address = os.environ.get("CONTAINERD_ADDRESS") or str(SOCKET)
    if program == "crictl":
        endpoint = os.environ.get("CONTAINER_RUNTIME_ENDPOINT", f"unix://{SOCKET}")
        address = endpoint.removeprefix("unix://")
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(address)
    except OSError as error:
        why = f"dial unix {address}: connect: {(error.strerror or '').lower()}"
        if program == "crictl":
            raise _Failed(
                'time="2026-11-27T10:00:00Z" level=fatal msg="validate service connection: validate'
                f' CRI v1 runtime API for endpoint \\"unix://{address}\\": rpc error: code ='
                f' Unavailable desc = connection error: desc = \\"transport: Error while dialing:'
                f' {why}\\""'
            ) from None
        raise _Failed(f'ctr: failed to dial "{address}": connection error: {why}') from None


def _crictl(words: list[str], data: Path) -> int:
    with _images(data) as images:
        if words[0] in {"images", "image", "img"}:
            return _crictl_images(images, words)
        if words[0] == "rmi":
            return _crictl_remove(images, words[1:])
    if words[0] in {"ps", "pods"}:
        key = {"ps": "containers", "pods": "items"}[words[0]]
        found = [] if words[0] == "pods" else _containers(data)
        print(json.dumps({key: found}) if "json" in words else "CONTAINER   IMAGE   STATE   NAME")
        return 0
    if words[0] == "version":
        print("Version:  0.1.0\nRuntimeName:  containerd\nRuntimeApiVersion:  v1")
        return 0
    if words[0] == "logs":
        # crictl opens the file itself, by the path that the kubelet uses inside the namespaces.
        logs = Path("/var/log/pods")
        if not logs.is_dir() or logs.stat().st_ino != (data / "logs" / "pods").stat().st_ino:
            raise _Failed(f"failed to try resolving symlinks in path {logs}: no such file")
        print(f"log of {words[-1]}")
        return 0
    raise _Failed(f"No help topic for '{words[0]}'")


def _crictl_images(images: dict[str, Image], words: list[str]) -> int:
    if "json" not in words:
        print("IMAGE   TAG   IMAGE ID   SIZE")
        return 0
    merged: dict[str, Image] = {}
    for name, image in images.items():
        one = merged.setdefault(
            image["id"],
            {
                "id": image["id"],
                "repoTags": [],
                "repoDigests": [],
                "size": str(image["size"]),
                "pinned": image["pinned"],
            },
        )
        one["repoTags"].append(name)
        one["pinned"] = one["pinned"] or image["pinned"]
    print(json.dumps({"images": list(merged.values())}))
    return 0


def _crictl_remove(images: dict[str, Image], names: list[str]) -> int:
    for wanted in names:
        gone = [name for name, image in images.items() if wanted in {name, image["id"]}]
        if not gone:
            raise _Failed(f'no such image: "{wanted}"')
        for name in gone:
            del images[name]
            print(f"Deleted: {name}")
    return 0


def _ctr(words: list[str], data: Path, release: Release) -> int:
    words = _without_namespace(words)
    if words[:1] == ["version"]:
        print("Client:\n  Version:  v2.3.4")
        return 0
    if words[:1] not in (["images"], ["image"], ["i"]):
        raise _Failed(f"ctr: no such command: {' '.join(words)}")
    if words[1:2] == ["import"]:
        return _import(words[2:], data, release)
    with _images(data) as images:
        if words[1:2] in (["ls"], ["list"]):
            if "-q" in words:
                print("\n".join(sorted(images)))
                return 0
            print("REF TYPE DIGEST SIZE PLATFORMS LABELS")
            for name, image in sorted(images.items()):
                labels = "io.cri-containerd.image=managed"
                labels += f",{_PINNED}=pinned" if image["pinned"] else ""
                kind = "application/vnd.oci.image.manifest.v1+json"
                print(f"{name} {kind} {image['id']} 1.0 MiB linux/amd64 {labels}")
            return 0
    raise _Failed(f"ctr: no such command: {' '.join(words)}")


def _import(words: list[str], data: Path, release: Release) -> int:
    second = release.triple >= (1, 32, 2)
    options = [word for word in words[:-1] if word.startswith("-")]
    snapshotter = os.environ.get("CONTAINERD_SNAPSHOTTER", "")
    for at, word in enumerate(words):
        if word == "--snapshotter":
            snapshotter = words[at + 1]
        elif word == "--local" and release.triple < (1, 28, 0):
            raise _Failed("flag provided but not defined: -local")
    if second and "--local" not in options and "--no-unpack" not in options and snapshotter:
        # The transfer service has no unpack configuration for other snapshotters.
        raise _Failed("ctr: unable to initialize unpacker: no unpack platforms defined")
    path = Path("/dev/stdin") if words[-1] == "-" else Path(words[-1])
    with path.open("rb") as source, _images(data) as images:
        for name, size in _read_archive(source).items():
            digest = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
            images[name] = {"id": digest, "size": size, "pinned": False, "unpacked": snapshotter}
            print(f"unpacking {name} ({digest})...done")
    return 0


def _read_archive(source: BinaryIO) -> dict[str, int]:
    """Return the images of an archive, as containerd names them."""
    names: list[str] = []
    size = 0
    known = False
    try:
        with tarfile.open(fileobj=source, mode="r|", bufsize=_BLOCK) as archive:
            for member in archive:
                size += member.size
                if member.name == "manifest.json":
                    known = True
                    found = json.load(cast("BinaryIO", archive.extractfile(member)))
                    names += [_full(tag) for one in found for tag in one.get("RepoTags") or ()]
                elif member.name == "index.json":
                    known = True
                    found = json.load(cast("BinaryIO", archive.extractfile(member)))
                    names += _of_index(found)
    except (tarfile.TarError, ValueError) as error:
        raise _Failed(f"ctr: archive/tar: invalid tar header ({error})") from None
    if not known:
        raise _Failed("ctr: unrecognized image format")
    return dict.fromkeys(names, size)


def _full(tag: str) -> str:
    """Return a name of a Docker archive with its registry (distribution/reference)."""
    first = tag.split("/", maxsplit=1)[0]
    if "/" in tag and (first == "localhost" or "." in first or ":" in first):
        return tag
    return f"docker.io/{tag}" if "/" in tag else f"docker.io/library/{tag}"


def _of_index(index: dict[str, Any]) -> list[str]:
    names = []
    for one in index.get("manifests", ()):
        notes = one.get("annotations") or {}
        name = notes.get("io.containerd.image.name", "")
        tag = notes.get("org.opencontainers.image.ref.name", "")
        if not name and tag:
            name = tag if "/" in tag else f"import-{datetime.now(UTC):%Y-%m-%d}:{tag}"
        names += [name] if name else []
    return names


def _containers(data: Path) -> list[dict[str, Any]]:
    """Return the containers that tests put beside the images; no container ever runs."""
    try:
        found: list[dict[str, Any]] = json.loads((data / _STORE).read_text())["containers"]
    except (OSError, KeyError):
        return []
    return found


@contextlib.contextmanager
def _images(data: Path) -> Iterator[dict[str, Image]]:
    """Yield the images by name, and write them back."""
    path = data / _STORE
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            kept = json.loads(path.read_text())
        except FileNotFoundError:
            kept = {"images": _packaged(), "containers": []}
        yield kept["images"]
        new = path.with_suffix(f".{time.monotonic_ns()}")
        new.write_text(json.dumps(kept))
        new.replace(path)


def _packaged() -> dict[str, Image]:
    name = "docker.io/rancher/mirrored-pause:3.6"
    digest = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
    return {name: {"id": digest, "size": 301463, "pinned": True}}


def _without_namespace(words: list[str]) -> list[str]:
    if words[:1] in (["-n"], ["--namespace"]):
        return words[2:]
    return words
