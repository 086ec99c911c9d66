"""The encryption of Secrets: `/v1-k3s/encrypt/status` and `/v1-k3s/encrypt/config`.

Source: K3s pkg/server/handlers/secrets-encrypt.go, pkg/secretsencrypt and pkg/daemons/control/deps
(genEncryptionConfigAndState). The stand-in stores no Secrets; it has K3s's keys, stages and errors.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from datetime import UTC, datetime
from typing import Any

from .certificates import write_private
from .cluster import Cluster, Object, now
from .flags import Flags
from .journal import Journal
from .objects import status
from .release import Release
from .resources import Refused

_TYPES = {"aescbc": "AES-CBC", "secretbox": "XSalsa20-POLY1305"}
_PREFIXES = {"aescbc": "aescbckey", "secretbox": "secretboxkey"}
_BEGIN = ("start", "reencrypt_finished")


class Encryption:
    """The encryption configuration of one start of the server."""

    def __init__(
        self, flags: Flags, release: Release, cluster: Cluster, journal: Journal, seconds: float
    ) -> None:
        self._config = flags.data_dir / "server" / "cred" / "encryption-config.json"
        self._kept = self._config.with_name("encryption-state.json")
        self._on = flags.switch("secrets-encryption")
        self._provider = flags.text("secrets-encryption-provider", "aescbc")
        self._release = release
        self._cluster = cluster
        self._journal = journal
        self._seconds = seconds
        self._annotation = ""
        if not self._on:
            return
        if not self._config.exists():
            self._write({self._provider: [_key(_PREFIXES[self._provider])]}, enable=True)
        if not self._kept.exists():
            self._note("start")
        self._annotation = self._kept.read_text()

    def status(self) -> Object:
        """Return the state, as `k3s secrets-encrypt status -o json` prints it."""
        if not self._on or not self._config.exists():
            return {"stage": "", "activekey": ""}
        providers = self._providers()
        first = next(iter(providers[0]))
        names = [
            (f"{_TYPES[kind]} {key['name']}", position)
            for position, provider in enumerate(providers)
            for kind, content in provider.items()
            if kind in _TYPES
            for key in content["keys"]
        ]
        active = [name for name, _ in names[:1]] if first != "identity" else []
        found: Object = {
            "stage": self._annotation.partition("-")[0],
            "activekey": "".join(active),
            "enable": first != "identity",
            "hashmatch": True,
        }
        inactive = [name for name, _ in names if name not in active]
        return found | ({"inactivekeys": inactive} if inactive else {})

    def change(self, body: bytes) -> None:
        """Perform a request."""
        request = json.loads(body)
        stage, force = request.get("stage"), bool(request.get("force"))
        match stage:
            case None:
                self._enable(request)
            case "prepare":
                self._prepare(force=force)
            case "rotate":
                self._rotate(force=force)
            case "reencrypt_active":
                self._reencrypt(force=force, skip=bool(request.get("skip")))
            case "rotate_keys" if self._release.rotates_keys:
                self._rotate_keys()
            case _:
                raise self._error(f"unknown stage {stage} requested")

    def _enable(self, request: Object) -> None:
        enable = bool(request["enable"])
        if not self._on:
            raise self._error("open : no such file or directory")
        is_on = next(iter(self._providers()[0])) != "identity"
        if is_on == enable:
            word = "enabled" if enable else "disabled"
            self._journal.info(f"Secrets encryption already {word}")
            return
        self._write(self._keys(), enable=enable)

    def _prepare(self, *, force: bool) -> None:
        self._require(_BEGIN, force=force)
        self._refuse_secretbox("prepare")
        keys = self._keys()
        keys["aescbc"].append(_key("aescbckey", stamp=True))
        self._write(keys, enable=True)
        self._note("prepare")

    def _rotate(self, *, force: bool) -> None:
        self._require(("prepare",), force=force)
        self._refuse_secretbox("rotate")
        self._write(_rotated(self._keys(), self._provider), enable=True)
        self._note("rotate")

    def _reencrypt(self, *, force: bool, skip: bool) -> None:
        self._require(("rotate",), force=force)
        self._refuse_secretbox("reencrypt")
        self._annotate("reencrypt_active")
        threading.Thread(target=self._finish, kwargs={"skip": skip}, daemon=True).start()

    def _rotate_keys(self) -> None:
        self._require(_BEGIN, force=False)
        self._annotate("reencrypt_active")
        keys = self._keys()
        keys.setdefault(self._provider, []).append(_key(_PREFIXES[self._provider], stamp=True))
        self._write(_rotated(keys, self._provider), enable=True)
        self._finish(skip=False)

    def _finish(self, *, skip: bool) -> None:
        """Encrypt all Secrets again, and remove the old key, unless it is kept."""
        count = 120
        for number in range(50, count, 50):
            time.sleep(self._seconds / 2)
            self._event("SecretsProgress", f"reencrypted {number} secrets")
        self._event("SecretsUpdateComplete", f"reencrypted {count} secrets")
        if skip:
            self._annotation = self._kept.read_text()
            return
        keys = self._keys()
        if len(keys.get(self._provider, [])) > 1:
            keys[self._provider].pop()
        self._write(keys, enable=True)
        self._note("reencrypt_finished")

    def _require(self, stages: tuple[str, ...], *, force: bool) -> None:
        if force:
            return
        stage, _, digest = self._annotation.partition("-")
        if not self._on:
            raise self._error("missing annotation on node standin")
        if stage not in stages:
            raise self._error(f"incorrect stage: {stage} found on node standin")
        if digest != self._digest():
            raise self._error(f"invalid hash: {digest} found on node standin")

    def _refuse_secretbox(self, verb: str) -> None:
        if self._provider == "secretbox":
            raise self._error(
                f"{verb} does not support secretbox key type, use rotate-keys instead"
            )

    def _providers(self) -> list[dict[str, Any]]:
        content = json.loads(self._config.read_text())
        found: list[dict[str, Any]] = content["resources"][0]["providers"]
        return found

    def _keys(self) -> dict[str, list[Object]]:
        return {
            kind: content["keys"]
            for provider in self._providers()
            for kind, content in provider.items()
            if kind in _TYPES
        }

    def _write(self, keys: dict[str, list[Object]], *, enable: bool) -> None:
        kinds = sorted(keys, key=lambda kind: kind != self._provider)
        encrypting: list[Object] = [{kind: {"keys": keys[kind]}} for kind in kinds]
        providers = [{"identity": {}}, *encrypting[:1]]
        if enable:
            providers = [*encrypting, {"identity": {}}]
        resources = [{"resources": ["secrets"], "providers": providers}]
        content = {
            "kind": "EncryptionConfiguration",
            "apiVersion": "apiserver.config.k8s.io/v1",
            "resources": resources,
        }
        write_private(self._config, json.dumps(content, separators=(",", ":")).encode())

    def _annotate(self, stage: str) -> None:
        self._annotation = f"{stage}-{self._digest()}"

    def _note(self, stage: str) -> None:
        self._annotate(stage)
        write_private(self._kept, self._annotation.encode())

    def _digest(self) -> str:
        return hashlib.sha256(self._config.read_bytes()).hexdigest()

    def _event(self, reason: str, message: str) -> None:
        name = f"standin.{secrets.token_hex(8)}"
        event = {
            "metadata": {"name": name, "namespace": "default"},
            "reason": reason,
            "message": message,
            "type": "Normal",
            "lastTimestamp": now(),
        }
        self._cluster.put("events", event)

    def _error(self, reason: str) -> Refused:
        """Return an answer without the reason, which only the log has."""
        named = f"secret-encrypt error ID {secrets.randbelow(99999):05d}"
        self._journal.error(f"{named}: {reason}")
        return Refused(status(400, "BadRequest", named))


def _rotated(keys: dict[str, list[Object]], provider: str) -> dict[str, list[Object]]:
    return keys | {provider: [keys[provider][-1], *keys[provider][:-1]]}


def _key(prefix: str, *, stamp: bool = False) -> Object:
    name = prefix
    if stamp:
        name = f"{prefix}-{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return {"name": name, "secret": base64.b64encode(secrets.token_bytes(32)).decode()}
