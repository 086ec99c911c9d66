"""Read the files in which K3s and its user keep secrets, so that the secrets can be redacted.

The content of these files is not added to the archive.

Below the data directory (`k3s.layout`): the tokens and passwords of the server and the node, the
keys of its encryption, etc/rancher/k3s/registries.yaml, and the files that K3s generates from it
for containerd (config.toml, its templates and drop-ins, certs.d). Elsewhere: the kubeconfig,
/etc/rancher/k3s/config.yaml with config.yaml.d and registries.yaml, and files that the unit names
(K3s v1.21 to v1.36, pkg/server, pkg/daemons, pkg/configfilearg and pkg/agent/templates).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from k3s_rootless.k3s import layout
from k3s_rootless.support.facts import SecretFiles

LARGEST = 256 * 1024
"""The maximum number of bytes read from a file."""
_TOKENS = (
    layout.SERVER_TOKEN,
    layout.NODE_TOKEN,
    layout.AGENT_TOKEN,
    layout.NODE_PASSWORD,
    layout.IPSEC_KEY,
)
_TEXTS = ("etc/rancher/k3s/registries.yaml",)
_CONFIGURATIONS = ("etc/rancher/k3s/config.yaml",)
_HOST_TEXTS = ("etc/rancher/k3s/registries.yaml", "etc/rancher/node/password")
_CONTAINERD_TEXTS = ("*.toml", "*.tmpl", "*.toml.d/*.toml", "certs.d/*/hosts.toml")
_MOST_FILES = 200
"""The maximum number of files of each kind."""


def read(
    data: Path,
    kubeconfig: Path,
    tokens: Iterable[Path] = (),
    texts: Iterable[Path] = (),
    configurations: Iterable[Path] = (),
    root: Path = Path("/"),
) -> SecretFiles:
    """Read the files that hold secrets.

    `tokens`, `texts` and `configurations` (config.yaml with other names) are additional files of
    these kinds. The drop-ins of a configuration file are in a directory with the same name and the
    suffix `.d`.
    """
    problems: list[str] = []
    in_tokens = [data / name for name in _TOKENS]
    in_tokens += tokens
    in_texts = [kubeconfig]
    in_texts += [data / name for name in _TEXTS]
    in_texts += [root / name for name in _HOST_TEXTS]
    in_texts += texts
    all_configurations = [base / name for base in (data, root) for name in _CONFIGURATIONS]
    all_configurations += configurations
    for one in dict.fromkeys(all_configurations):
        in_texts.append(one)
        in_texts += _matching(Path(f"{one}.d"), ("*.yaml", "*.yml"), problems)
    in_texts += _matching(data / layout.CONTAINERD_CONFIGURATION, _CONTAINERD_TEXTS, problems)
    return SecretFiles(
        tokens=tuple(_content(path, problems) for path in in_tokens),
        texts=tuple(_content(path, problems) for path in in_texts),
        passwords=_content(data / layout.PASSWORDS, problems),
        encryption=_content(data / layout.ENCRYPTION, problems),
        problems=tuple(problems),
    )


def _matching(directory: Path, patterns: Iterable[str], problems: list[str]) -> list[Path]:
    try:
        found = [
            path
            for pattern in patterns
            for path in sorted(islice(directory.glob(pattern), _MOST_FILES + 1))
        ]
    except (OSError, ValueError) as error:
        problems.append(f"{directory} ({_reason(error)})")
        return []
    if len(found) > _MOST_FILES:
        problems.append(f"{directory} (more than {_MOST_FILES} files)")
    return found[:_MOST_FILES]


def _reason(error: OSError | ValueError) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def _content(path: Path, problems: list[str]) -> str:
    try:
        # O_NONBLOCK prevents a wait if there is a pipe instead of a file.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError) as error:
        problems.append(f"{path} ({_reason(error)})")
        return ""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return os.read(descriptor, LARGEST).decode("utf-8", "replace")
    except OSError as error:
        problems.append(f"{path} ({_reason(error)})")
        return ""
    finally:
        os.close(descriptor)
