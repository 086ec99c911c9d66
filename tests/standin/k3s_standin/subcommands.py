"""The sub-commands of K3s that work on the host: `token`, `certificate check`, and others.

Source: K3s pkg/cli, and what v1.36.3 printed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from . import bootstrap_tokens, etcd_snapshot, flags, rotation, secrets_encrypt, supervisor_client
from .journal import Fatal, Journal
from .release import Release

_ROOT_DATA = Path("/var/lib/rancher/k3s")
_UNKNOWN = 3
_HELP = frozenset({"--help", "-h", "help"})


def run(command: str, words: list[str], release: Release, journal: Journal) -> int:
    """Run a sub-command with these words, and return the exit status."""
    if _HELP.intersection(words):
        print(f"NAME:\n   k3s {command}\n\nUSAGE:\n   k3s {command} [command options]")
        return 0
    known: dict[str, Callable[[], int]] = {
        "token": lambda: bootstrap_tokens.run(words, data_dir(release, words)),
        "certificate": lambda: _certificate(words, release, journal),
        "secrets-encrypt": lambda: secrets_encrypt.run(words, data_dir(release, words)),
        "etcd-snapshot": lambda: etcd_snapshot.run(words, data_dir(release, words), journal),
        "check-config": lambda: _check_config(release),
        "completion": lambda: _completion(words),
    }
    if command not in known:
        print(f"No help topic for '{command}'", file=sys.stderr)
        return _UNKNOWN
    return known[command]()


def data_dir(release: Release, words: list[str] | None = None) -> Path:
    """Return the data directory of a sub-command (K3s pkg/datadir).

    Root uses that of a K3s with root, also inside the namespaces of a rootless K3s.
    """
    given = supervisor_client.option(words or [], "data-dir", "d")
    if release.reads_data_dir:
        given = given or os.environ.get("K3S_DATA_DIR", "")
    if given:
        return Path(given)
    config = flags.read_config(flags.config_path([], os.environ))
    if config.get("data-dir"):
        return Path(str(config["data-dir"]))
    return _ROOT_DATA if os.getuid() == 0 else Path.home() / ".rancher" / "k3s"


def _certificate(words: list[str], release: Release, journal: Journal) -> int:
    if words[:1] == ["rotate-ca"]:
        server = supervisor_client.option(words, "server", "s") or os.environ.get("K3S_URL", "")
        supervisor_client.ping(server or "https://127.0.0.1:6443")
        new = Path(supervisor_client.option(words, "path"))
        force = "--force" in words
        return rotation.save_authorities(data_dir(release, words), new, journal, force=force)
    if words[:1] != ["check"]:
        return rotation.run(words, release, journal)
    tls = data_dir(release, words) / "server" / "tls"
    if not tls.is_dir():
        raise Fatal(f"open {tls}: no such file or directory")
    for path in sorted(tls.glob("client-*.crt")):
        journal.info(f"{path.name}: certificate CN=system:{path.stem} (ClientAuth) is ok")
    return 0


def _check_config(release: Release) -> int:
    print(f"\nVerifying binaries in {data_dir(release)}/data/current/bin:\n- sha256sum: good")
    return 0


def _completion(words: list[str]) -> int:
    print(f"#! /bin/{next(iter(words), 'bash')}\n_cli_bash_autocomplete() {{ :; }}")
    return 0
