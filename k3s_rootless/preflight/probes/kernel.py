"""Probes of the kernel: its release, modules and devices, and the programs that K3s expects.

They read below the given root: /proc/sys/kernel/osrelease, /proc/modules, /sys/module,
/lib/modules/RELEASE, /proc/config.gz or /boot/config-RELEASE, /dev, and the directories of the
unit's PATH. No probe makes the kernel load a module.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path

from k3s_rootless import command
from k3s_rootless.errors import CommandFailed
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.preflight.probes import devices, files
from k3s_rootless.preflight.records import Modules

# Maps each module to its option in the kernel's configuration.
CONFIG = {
    "br_netfilter": "BRIDGE_NETFILTER",
    "bridge": "BRIDGE",
    "fuse": "FUSE_FS",
    "ip_set": "IP_SET",
    "ip_set_hash_ip": "IP_SET_HASH_IP",
    "ip_set_hash_net": "IP_SET_HASH_NET",
    "ip_tables": "IP_NF_IPTABLES",
    "iptable_filter": "IP_NF_FILTER",
    "iptable_nat": "IP_NF_NAT",
    "nf_conntrack": "NF_CONNTRACK",
    "nf_tables": "NF_TABLES",
    "nfnetlink_log": "NETFILTER_NETLINK_LOG",
    "nft_compat": "NFT_COMPAT",
    "overlay": "OVERLAY_FS",
    "tun": "TUN",
    "veth": "VETH",
    "vxlan": "VXLAN",
    "xt_NFLOG": "NETFILTER_XT_TARGET_NFLOG",
    "xt_set": "NETFILTER_XT_SET",
}
DEVICES = {"tun": "dev/net/tun", "fuse": "dev/fuse", "kmsg": "dev/kmsg"}
# The last path is that of NixOS (its modprobe reads MODULE_DIR).
_TREES = ("lib/modules", "usr/lib/modules", "run/booted-system/kernel-modules/lib/modules")
_LARGEST = 16 * 1024 * 1024


def release(root: Path) -> Observed[tuple[int, int]]:
    """Return the major and minor number of the running kernel."""
    path = root / "proc/sys/kernel/osrelease"
    try:
        text = path.read_text("utf-8", "replace").strip()
    except OSError as error:
        return Unknown(f"{path} cannot be read: {error.strerror}")
    found = re.match(r"(\d{1,4})\.(\d{1,4})", text, re.ASCII)
    if found is None:
        return Unknown(f"{path} contains no kernel release: {text[:40]!r}")
    return Known((int(found[1]), int(found[2])), text)


def modules(root: Path) -> Observed[Modules]:
    """Return which modules are loaded or built in, and which could be loaded.

    A built-in module is not in /proc/modules.
    """
    number = files.text(root / "proc/sys/kernel/osrelease").strip() or os.uname().release
    present = {line.partition(" ")[0] for line in files.text(root / "proc/modules").splitlines()}
    present |= {name for name in CONFIG if (root / "sys/module" / name).is_dir()}
    loadable = set()
    for place in _TREES:
        tree = root / place / number
        if tree.is_dir():
            present |= _named(files.text(tree / "modules.builtin"))
            loadable = _named(files.text(tree / "modules.dep"))
            break
    complete = bool(loadable)
    missing = CONFIG.keys() - present - loadable
    config = _config(root, number) if missing else ""
    if config:
        present |= {name for name, option in CONFIG.items() if f"\nCONFIG_{option}=y" in config}
        complete = complete or "\nCONFIG_MODULES=y" not in config
    known = frozenset(CONFIG)
    return Known(
        Modules(known & present, known & loadable, complete),
        f"/proc/modules and the modules of {number}",
    )


def _named(text: str) -> set[str]:
    # The name before the colon: `kernel/net/bridge/br_netfilter.ko.xz: …` is br_netfilter.
    found = re.findall(r"^[^:\n]*?([^/:\n]+)\.ko", text, re.MULTILINE)
    return {name.replace("-", "_") for name in found}


def _config(root: Path, number: str) -> str:
    with contextlib.suppress(OSError, EOFError, ValueError):
        packed = (root / "proc/config.gz").read_bytes()[:_LARGEST]
        with contextlib.suppress(zlib.error):
            return zlib.decompressobj(31).decompress(packed, _LARGEST).decode("utf-8", "replace")
    return files.text(root / f"boot/config-{number}")


def opened(root: Path) -> Observed[Mapping[str, int]]:
    """Open each device, and return 0 or the errno of open(2) for each."""
    return Known(
        {name: _tried(root, name, root / path) for name, path in DEVICES.items()}, "open(2)"
    )


def _tried(root: Path, name: str, path: Path) -> int:
    loaded = (root / "sys/class/misc" / name).exists()
    if name != "kmsg" and loaded:
        tried = devices.opened(path, write=True)
        return tried.value if isinstance(tried, Known) else errno.EIO
    # If its module is not loaded, opening the device would load it, which changes the host.
    if not path.exists():
        return errno.ENOENT
    if name != "kmsg" and not os.access(path, os.R_OK | os.W_OK):
        return errno.EACCES
    return 0


def programs(
    root: Path, search: str, names: tuple[str, ...] = ("mount.fuse3",)
) -> Observed[Mapping[str, str | None]]:
    """Look up programs on `search`, the unit's PATH."""
    places = os.pathsep.join(
        str(root / entry.lstrip("/")) for entry in search.split(os.pathsep) if entry.startswith("/")
    )
    return Known({name: shutil.which(name, path=places) for name in names}, search)


def ipset(root: Path, unpacked: Path, search: str) -> Observed[str | None]:
    """Return the ipset that K3s uses: its own, or else that of the host; None if there is none.

    `unpacked` is the directory of the programs that K3s unpacked last. Before the first start of
    K3s it does not exist, and the result is empty.
    """
    if not unpacked.is_dir():
        return Known("", str(unpacked))
    own = shutil.which("ipset", path=str(unpacked))
    if own is not None:
        return Known(own, str(unpacked))
    found = programs(root, search, ("ipset",))
    if isinstance(found, Unknown):
        return found
    return Known(found.value["ipset"], f"{unpacked}:{search}")


def iptables(search: str) -> Observed[str]:
    """Return the version of the host's iptables; empty if there is none.

    K3s prefers the host's iptables to its own.
    """
    program = devices.found("iptables", search)
    if isinstance(program, Unknown):
        return program
    if program.value is None:
        return Known("", search)
    try:
        done = command.run([program.value, "--version"], timeout=3)
    except CommandFailed as error:
        return Unknown(error.message)
    return Known(done.stdout.strip()[:80], f"{program.value} --version")
