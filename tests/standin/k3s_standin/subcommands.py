"""The sub-commands of K3s that work on the host: `token`, `certificate check`, and others.

Source: K3s pkg/cli, and what v1.36.3 printed.
"""

from __future__ import annotations

import http.client
import os
import secrets
import socket
import ssl
import string
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from . import flags, kept, kubectl, rotation
from .journal import Fatal, Journal
from .release import Release

_ROOT_DATA = Path("/var/lib/rancher/k3s")
_ETCD_DISABLED = "etcd datastore disabled"
_SECONDS = 10
_UNKNOWN = 3
_HELP = frozenset({"--help", "-h", "help"})


def run(command: str, words: list[str], release: Release, journal: Journal) -> int:
    """Run a sub-command with these words, and return the exit status."""
    if _HELP.intersection(words):
        print(f"NAME:\n   k3s {command}\n\nUSAGE:\n   k3s {command} [command options]")
        return 0
    known: dict[str, Callable[[], int]] = {
        "token": lambda: _token(words, release),
        "certificate": lambda: _certificate(words, release, journal),
        "secrets-encrypt": lambda: _secrets_encrypt(words, release),
        "etcd-snapshot": lambda: _etcd_snapshot(words, release),
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
    given = _option(words or [], "data-dir", "d")
    if release.reads_data_dir:
        given = given or os.environ.get("K3S_DATA_DIR", "")
    if given:
        return Path(given)
    config = flags.read_config(flags.config_path([], os.environ))
    if config.get("data-dir"):
        return Path(str(config["data-dir"]))
    return _ROOT_DATA if os.getuid() == 0 else Path.home() / ".rancher" / "k3s"


def _token(words: list[str], release: Release) -> int:
    second = next(iter(words), "")
    if second == "generate":
        print(_random_token())
        return 0
    if second == "rotate":
        return _rotate_token(words, release)
    config = Path(_option(words, "kubeconfig") or os.environ.get("KUBECONFIG", "") or "/")
    if config == Path("/"):
        config = Path("/etc/rancher/k3s/k3s.yaml")
    if not config.exists():
        raise Fatal(f"stat {config}: no such file or directory")
    os.environ["KUBECONFIG"] = str(config)
    code, _ = kubectl.request("/api/v1/nodes")
    if code != 200:
        raise Fatal(f"the server answered with status {code}")
    if second == "list":
        print("TOKEN     TTL       EXPIRES   USAGES    DESCRIPTION")
    elif second == "create":
        print(f"K10{secrets.token_hex(32)}::{_random_token()}")
    return 0


def _rotate_token(words: list[str], release: Release) -> int:
    # The data directory of the command line is ignored (K3s pkg/cli/token, ResolveDataDir("")).
    default = Path.home() / ".rancher" / "k3s" / "server" / "token"
    given = _option(words, "token", "t") or os.environ.get("K3S_TOKEN", "")
    token = given or default.read_text().strip()
    server = _option(words, "server", "s") or os.environ.get("K3S_URL", "")
    _ping(server or "https://127.0.0.1:6443")
    own = (data_dir(release, words) / "server" / "token").read_text().strip()
    if kept.token_of(token) != kept.token_of(own):
        raise Fatal("unable to rotate token: 401 Unauthorized")
    print("WARNING: Recommended to keep a record of the old token.")
    print("Token rotated, restart k3s nodes with new token")
    return 0


def _certificate(words: list[str], release: Release, journal: Journal) -> int:
    if words[:1] == ["rotate-ca"]:
        _ping(_option(words, "server", "s") or os.environ.get("K3S_URL", "https://127.0.0.1:6443"))
        new = Path(_option(words, "path"))
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


def _secrets_encrypt(words: list[str], release: Release) -> int:
    if not (data_dir(release, words) / "server" / "token").exists():
        raise Fatal(f"open {data_dir(release, words)}/server/token: no such file or directory")
    _ping(_option(words, "server", "s") or os.environ.get("K3S_URL", "https://127.0.0.1:6443"))
    print("Encryption Status: Disabled, no configuration file found")
    return 0


def _etcd_snapshot(words: list[str], release: Release) -> int:
    server = _option(words, "etcd-server", "s") or "https://127.0.0.1:6443"
    _ping(server)
    if not (data_dir(release, words) / "server" / "db" / "etcd").is_dir():
        raise Fatal(f"Error: {_ETCD_DISABLED}, see server log for details")
    print("Name  Location  Size  Created")
    return 0


def _check_config(release: Release) -> int:
    print(f"\nVerifying binaries in {data_dir(release)}/data/current/bin:\n- sha256sum: good")
    return 0


def _completion(words: list[str]) -> int:
    print(f"#! /bin/{next(iter(words), 'bash')}\n_cli_bash_autocomplete() {{ :; }}")
    return 0


def _random_token() -> str:
    letters = string.ascii_lowercase + string.digits
    parts = ("".join(secrets.choice(letters) for _ in range(count)) for count in (6, 16))
    return ".".join(parts)


def _ping(server: str) -> None:
    """Query the server; K3s's clients of the supervisor verify it by the token instead."""
    address = urlsplit(server)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(
        str(address.hostname), address.port, timeout=_SECONDS, context=context
    )
    try:
        connection.request("GET", "/ping")
        connection.getresponse().read()
    except (OSError, socket.gaierror) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise Fatal(f'Get "{server}/cacerts": dial tcp {address.netloc}: connect: {why}') from None
    finally:
        connection.close()


def _option(words: list[str], *names: str) -> str:
    forms = {f"{'-' if len(name) == 1 else '--'}{name}" for name in names}
    for at, word in enumerate(words):
        form, equals, value = word.partition("=")
        if form in forms:
            return value if equals else "".join(words[at + 1 : at + 2])
    return ""
