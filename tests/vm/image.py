"""Builds the machine's image from Debian packages: whole or not at all, once for each recipe."""

from __future__ import annotations

import lzma
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.vm import apt, cpio, recipe
from tests.vm.errors import VmError
from tests.vm.place import CACHE, one_at_a_time

SEARCH_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
"""Where the host's tools are: some lie where only root looks."""

_KEPT = 2
_TIME_LIMIT = 20 * 60
_TOOLS = ("mmdebstrap", "mke2fs", "qemu-system-x86_64", "qemu-img", "ssh", "ssh-keygen", "setpriv", "timeout", "apt-get")


@dataclass(frozen=True)
class Image:
    """A built image: a directory that nothing writes to any more."""

    path: Path

    @property
    def kernel(self) -> Path:
        """The kernel, as the machine's firmware would load it."""
        return self.path / "kernel"

    @property
    def initrd(self) -> Path:
        """What the kernel needs to find the disk."""
        return self.path / "initrd"

    @property
    def disk(self) -> Path:
        """The root file system."""
        return self.path / "disk"

    @property
    def key(self) -> Path:
        """The private key that opens the machine."""
        return self.path / "key"

    @property
    def known_hosts(self) -> Path:
        """The machine's own public key."""
        return self.path / "known_hosts"


def build() -> Image:
    """Return the image of the present recipe, built if it does not exist yet."""
    if missing := [tool for tool in _TOOLS if not shutil.which(tool, path=SEARCH_PATH)]:
        raise VmError(f"missing on this host: {', '.join(missing)}")
    with one_at_a_time():
        path = CACHE / f"image-{recipe.digest()}"
        if not path.is_dir():
            _build(path)
        os.utime(path)
        _prune()
    return Image(path)


def _build(path: Path) -> None:
    if os.geteuid() != 0:
        raise VmError("only root can build the image")
    for unfinished in CACHE.glob("unfinished-*"):
        shutil.rmtree(unfinished)
    sys.stderr.write(f"building a Debian {recipe.SUITE} image in {CACHE} (once; a minute or four)\n")
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=CACHE) as temporary:
        image, tree = Image(Path(temporary, "image")), Path(temporary, "tree")
        image.path.mkdir()
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "vm", "-f", str(image.key))
        _bootstrap(tree, image.key.with_suffix(".pub"), Path(temporary, "sources"))
        _unpack_modules(tree)
        _extract(tree, image)
        _run("mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=0", "-d", str(tree), str(image.disk), recipe.DISK_SIZE)
        image.path.rename(path)


def _bootstrap(tree: Path, key: Path, sources: Path) -> None:
    sources.write_text(apt.sources(recipe.SUITE))
    options = [f"--aptopt={option}" for option in (*apt.options(), 'Acquire::Languages "none";')]
    options += [f"--dpkgopt=path-exclude={pattern}" for pattern in recipe.NOT_UNPACKED]
    options.append(f"--include={','.join(recipe.PACKAGES)}")
    # The kernel's own initrd is not used: the least costs the least.
    options.append("--essential-hook=" + 'mkdir -p "$1/etc/initramfs-tools/conf.d"')
    options.append("--essential-hook=" + 'echo MODULES=list >"$1/etc/initramfs-tools/conf.d/least"')
    options.append("--customize-hook=" + shlex.join(["sh", str(recipe.CUSTOMIZE)]) + f' "$1" {shlex.quote(str(key))}')
    _run("mmdebstrap", "--quiet", "--mode=root", "--variant=essential", *options, recipe.SUITE, str(tree), str(sources))


def _unpack_modules(tree: Path) -> None:
    # Once here instead of at each boot, in emulation.
    (modules,) = (tree / "usr/lib/modules").iterdir()
    for packed in modules.rglob("*.ko.xz"):
        packed.with_suffix("").write_bytes(lzma.decompress(packed.read_bytes()))
        packed.unlink()
    _run("chroot", str(tree), "depmod", modules.name)


def _extract(tree: Path, image: Image) -> None:
    (kernel,) = (tree / "boot").glob("vmlinuz-*")
    image.kernel.write_bytes(kernel.read_bytes())
    (module,) = (tree / "usr/lib/modules").rglob("virtio_blk.ko")
    members = (
        *(cpio.directory("dev"), cpio.directory("root"), cpio.directory("bin")),
        cpio.program("bin/busybox", (tree / "usr/bin/busybox").read_bytes()),
        cpio.program("virtio_blk.ko", module.read_bytes()),
        cpio.program("init", recipe.INIT),
    )
    image.initrd.write_bytes(cpio.archive(members))
    host_key = (tree / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
    image.known_hosts.write_text(f"vm {host_key}")
    shutil.rmtree(tree / "boot")
    (tree / "boot").mkdir()


def _prune() -> None:
    images = sorted(CACHE.glob("image-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in images[_KEPT:]:
        # Machines that still run from it have their files open.
        shutil.rmtree(old)


def _run(*command: str) -> None:
    # `timeout` takes a whole process group down; the driver's death is passed on to it.
    bounded = ("setpriv", "--pdeathsig", "TERM", "timeout", "--kill-after=10", str(_TIME_LIMIT), *command)
    environment = {**os.environ, "PATH": SEARCH_PATH}
    done = subprocess.run(bounded, check=False, capture_output=True, text=True, errors="replace", env=environment)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise VmError(f"{command[0]} failed with exit {done.returncode}:\n{tail}")
