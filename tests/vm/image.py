"""Image of the machine, built from Debian packages.

Each recipe is built once, completely or not at all.
"""

from __future__ import annotations

import lzma
import os
import shlex
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.debian import bootstrap
from tests.debian.releases import Release
from tests.vm import cpio, recipe
from tests.vm.errors import VmError
from tests.vm.place import CACHE, one_at_a_time

_KEPT = 6
_TOOLS = (
    "mmdebstrap",
    "mke2fs",
    "qemu-system-x86_64",
    "qemu-img",
    "ssh",
    "ssh-keygen",
    "setpriv",
    "timeout",
    "apt-get",
)


@dataclass(frozen=True)
class Image:
    """Built image: a directory that is never changed afterwards."""

    path: Path

    @property
    def kernel(self) -> Path:
        """Kernel, as the firmware of the machine would load it."""
        return self.path / "kernel"

    @property
    def initrd(self) -> Path:
        """Initial RAM disk, with which the kernel finds the disk."""
        return self.path / "initrd"

    @property
    def disk(self) -> Path:
        """Root file system."""
        return self.path / "disk"

    @property
    def key(self) -> Path:
        """Private key for logins to the machine."""
        return self.path / "key"

    @property
    def known_hosts(self) -> Path:
        """Public host key of the machine."""
        return self.path / "known_hosts"


def build(release: Release) -> Image:
    """Return the image of `release` for the present recipe; build it if it does not exist."""
    if missing := [tool for tool in _TOOLS if not shutil.which(tool, path=bootstrap.SEARCH_PATH)]:
        raise VmError(f"missing on this host: {', '.join(missing)}")
    with one_at_a_time():
        path = CACHE / f"image-{release.name}-{recipe.digest(release)}"
        if not path.is_dir():
            _build(release, path)
        os.utime(path)
        _prune()
    return Image(path)


def _build(release: Release, path: Path) -> None:
    for unfinished in CACHE.glob("unfinished-*"):
        shutil.rmtree(unfinished)
    sys.stderr.write(
        f"building a Debian {release.name} image in {CACHE} (once; a minute or four)\n"
    )
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=CACHE) as temporary:
        image, tree = Image(Path(temporary, "image")), Path(temporary, "tree")
        image.path.mkdir()
        bootstrap.run(
            "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "vm", "-f", str(image.key)
        )
        _bootstrap(release, tree, image.key.with_suffix(".pub"))
        _unpack_modules(tree)
        _extract(tree, image)
        bootstrap.run(
            "mke2fs",
            "-q",
            "-t",
            "ext4",
            "-E",
            "lazy_itable_init=0",
            "-d",
            str(tree),
            str(image.disk),
            recipe.DISK_SIZE,
        )
        image.path.rename(path)


def _bootstrap(release: Release, tree: Path, key: Path) -> None:
    hooks = (
        # The initrd of the kernel package is not used, so it is kept as small as possible.
        "--essential-hook=" + 'mkdir -p "$1/etc/initramfs-tools/conf.d"',
        "--essential-hook=" + 'echo MODULES=list >"$1/etc/initramfs-tools/conf.d/least"',
        "--customize-hook="
        + shlex.join(["sh", str(recipe.CUSTOMIZE)])
        + f' "$1" {shlex.quote(str(key))}',
    )
    bootstrap.bootstrap(release, recipe.PACKAGES, tree, hooks)


def _unpack_modules(tree: Path) -> None:
    # Decompress once here, rather than at each boot in emulation.
    (modules,) = (tree / "usr/lib/modules").iterdir()
    for packed in modules.rglob("*.ko.xz"):
        packed.with_suffix("").write_bytes(lzma.decompress(packed.read_bytes()))
        packed.unlink()
    bootstrap.run("chroot", str(tree), "depmod", modules.name)


def _extract(tree: Path, image: Image) -> None:
    (kernel,) = (tree / "boot").glob("vmlinuz-*")
    image.kernel.write_bytes(kernel.read_bytes())
    members = (
        *(
            cpio.directory("dev"),
            cpio.directory("root"),
            cpio.directory("bin"),
            cpio.directory("modules"),
        ),
        cpio.program("bin/busybox", (tree / "usr/bin/busybox").read_bytes()),
        *(
            cpio.program(f"modules/{number:02}.ko", module.read_bytes())
            for number, module in enumerate(_modules(tree))
        ),
        cpio.program("init", recipe.INIT),
    )
    image.initrd.write_bytes(cpio.archive(members))
    host_key = (tree / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
    image.known_hosts.write_text(f"vm {host_key}")
    shutil.rmtree(tree / "boot")
    (tree / "boot").mkdir()


def _modules(tree: Path) -> list[Path]:
    # In load order, which follows from the dependencies.
    (version,) = (path.name for path in (tree / "usr/lib/modules").iterdir())
    shown = bootstrap.run(
        "chroot",
        str(tree),
        "modprobe",
        f"--set-version={version}",
        "--all",
        "--show-depends",
        *recipe.MODULES,
    )
    loaded = dict.fromkeys(
        line.split()[1] for line in shown.splitlines() if line.startswith("insmod ")
    )
    return [tree / path.lstrip("/") for path in loaded]


def _prune() -> None:
    images = sorted(CACHE.glob("image-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in images[_KEPT:]:
        # Machines that still run from this image keep its files open.
        shutil.rmtree(old)
