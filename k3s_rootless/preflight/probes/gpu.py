"""Probes of NVIDIA GPUs: cards, driver, device nodes, runtimes, and their configuration.

Nothing is executed: nvidia-smi and nvidia-modprobe can load modules and create device nodes.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from k3s_rootless.k3s import runtimes
from k3s_rootless.observation import Known, Observed
from k3s_rootless.preflight.probes import devices, files, kernel
from k3s_rootless.preflight.records import DeviceSpecification, Gpu

CONFIGURATION = "etc/nvidia-container-runtime/config.toml"
SPECIFICATIONS = ("etc/cdi", "run/cdi", "var/run/cdi")
_CONTROL = ("nvidiactl", "nvidia-uvm")
_VENDOR, _DISPLAY = "0x10de", "0x03"
_VERSION = re.compile(r"Kernel Module\s+(?:for \S+\s+)?(?P<version>\d+(?:\.\d+)+)")
_LIBRARY = re.compile(r"libnvidia-ml\.so\.(?P<version>\d+(?:\.\d+)+)")
_NODE = re.compile(r"nvidia\d+")
_LARGEST = 4 * 1024 * 1024
_DEEPEST = 32
_MOST = 64


def gpu(root: Path, search: str) -> Observed[Gpu]:
    """Return what is known of NVIDIA GPUs; `search` is the PATH of the unit."""
    found = kernel.programs(
        root, f"{runtimes.SEARCHED_FIRST}:{search}", tuple(runtimes.PROGRAMS.values())
    )
    programs: Mapping[str, str | None] = {}
    if isinstance(found, Known):
        programs = found.value
    version = _VERSION.search(files.text(root / "proc/driver/nvidia/version"))
    settings = _settings(root / CONFIGURATION)
    return Known(
        Gpu(
            cards=tuple(_cards(root / "sys/bus/pci/devices")),
            driver=version["version"] if version else None,
            devices=dict(_devices(root / "dev")),
            runtimes={name: programs.get(program) for name, program in runtimes.PROGRAMS.items()},
            specifications=tuple(_specifications(root)),
            no_cgroups=_switch(settings, "nvidia-container-cli", "no-cgroups"),
            mode=_word(settings, "nvidia-container-runtime", "mode"),
            search=search,
        ),
        "/sys/bus/pci, /proc/driver/nvidia and /dev",
    )


def _cards(place: Path) -> Iterator[str]:
    try:
        listed = sorted(place.iterdir())
    except OSError:
        return
    for one in listed:
        kind = files.text(one / "class").strip()
        if files.text(one / "vendor").strip() == _VENDOR and kind.startswith(_DISPLAY):
            yield one.name


def _devices(place: Path) -> Iterator[tuple[str, int]]:
    try:
        cards = sorted(one.name for one in place.iterdir() if _NODE.fullmatch(one.name))
    except OSError:
        cards = []
    for name in (*cards, *_CONTROL):
        tried = devices.opened(place / name, write=True)
        yield name, tried.value if isinstance(tried, Known) else -1


def _specifications(root: Path) -> Iterator[DeviceSpecification]:
    seen: set[Path] = set()
    for directory in SPECIFICATIONS:
        try:
            paths = sorted((root / directory).iterdir())[:_MOST]
        except OSError:
            continue
        for path in paths:
            # /var/run is a link to /run on most hosts.
            if path.suffix in {".json", ".yaml"} and path.resolve() not in seen:
                seen.add(path.resolve())
                yield from _specification(path, f"/{path.relative_to(root)}")


def _specification(path: Path, name: str) -> Iterator[DeviceSpecification]:
    # Imported here: PyYAML takes 20 ms to load, and few hosts have such a file.
    from k3s_rootless import yaml_file

    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        document = yaml_file.load(content[:_LARGEST], _DEEPEST)
    except OSError as error:
        yield DeviceSpecification(name, problem=(error.strerror or str(error)).lower())
        return
    except ValueError:
        yield DeviceSpecification(name, problem="it is not a valid CDI specification")
        return
    kind = str(document.get("kind", "")) if isinstance(document, dict) else ""
    if not kind.startswith("nvidia.com/"):
        return
    version = _LIBRARY.search(content.decode("utf-8", "replace"))
    names = tuple(_names(document.get("devices")))
    yield DeviceSpecification(name, kind, names, version["version"] if version else "")


def _names(listed: Any) -> Iterator[str]:  # noqa: ANN401 (parsed YAML)
    if not isinstance(listed, list):
        return
    for one in listed:
        if isinstance(one, dict) and isinstance(one.get("name"), str | int):
            yield str(one["name"])


def _settings(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(files.text(path))
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def _switch(settings: Mapping[str, Any], table: str, name: str) -> bool | None:
    value = _of(settings, table, name)
    return value if isinstance(value, bool) else None


def _word(settings: Mapping[str, Any], table: str, name: str) -> str:
    value = _of(settings, table, name)
    return value if isinstance(value, str) else ""


def _of(settings: Mapping[str, Any], table: str, name: str) -> Any:  # noqa: ANN401 (a TOML value)
    found = settings.get(table)
    if not isinstance(found, Mapping):
        return None
    return found.get(name)
