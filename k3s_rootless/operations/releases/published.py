"""The assets of a release on a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from k3s_rootless.binaries import architectures, checksums, download, https, tags
from k3s_rootless.binaries.facts import LARGEST_IMAGES, Asset
from k3s_rootless.errors import PeerError, RootlessError
from k3s_rootless.operations.releases import resolve
from k3s_rootless.operations.releases.events import Arrived, Arriving
from k3s_rootless.operations.releases.servers import tried

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.binaries.facts import Architecture, Source
    from k3s_rootless.operations.context import Context


@dataclass(slots=True)
class Published:
    """A release on a server; its checksum file is requested once."""

    context: Context
    client: https.Client
    source: Source
    version: str
    architecture: Architecture
    _sums: dict[str, str] = field(default_factory=dict)

    def binary(self) -> tuple[Asset, str]:
        """Return the asset of K3s itself, and the URL of its checksum file.

        Raises RootlessError.
        """
        name = self.architecture.binary
        sums = self._checksums()
        if name not in sums:
            raise PeerError(f"cannot verify {name}: {self._sums_url} does not list it once")
        return Asset(name, self._url(name), sums[name]), self._sums_url

    def images(self) -> Asset:
        """Return the smallest archive of images. Raises RootlessError."""
        sums = self._checksums()
        for name in architectures.archives(self.architecture):
            if name in sums:
                return Asset(name, self._url(name), sums[name], LARGEST_IMAGES)
        raise PeerError(f"cannot get images of {self.version}: {self._sums_url} lists none")

    def bring(self, asset: Asset, part: Path) -> None:
        """Download an asset and verify it. Raises RootlessError."""
        host = https.host_of(asset.url)

        def report(received: int, size: int | None) -> None:
            self.context.listener(Arriving(asset.name, host, received, size))

        try:
            tried(
                self.context,
                self.client.limits,
                lambda: download.fetch(self.client, asset, part, report),
            )
        finally:
            self.context.listener(Arrived(asset.name))

    @property
    def _sums_url(self) -> str:
        return self._url(self.architecture.checksums)

    def _url(self, name: str) -> str:
        return f"{self.source.downloads}/{tags.in_url(self.version)}/{name}"

    def _checksums(self) -> dict[str, str]:
        if not self._sums:
            answer = tried(self.context, self.client.limits, self._requested)
            if answer.status == 404:
                raise self._absent()
            self._sums = checksums.parse(answer.text)
            if answer.status != 200 or not self._sums:
                raise PeerError(
                    f"cannot verify {self.version}: {https.host_of(self._sums_url)} sent no"
                    f" checksum file ({_kind(answer)})",
                    status=answer.status,
                )
        return self._sums

    def _requested(self) -> https.Document:
        answer = self.client.document(self._sums_url, checksums.LARGEST)
        if answer.status >= 500 or answer.status == 429:
            raise https.Transient(
                f"{https.host_of(self._sums_url)} cannot answer now (HTTP status {answer.status})",
                status=answer.status,
            )
        return answer

    def _absent(self) -> RootlessError:
        names = resolve.known(self.context, self.client, self.source)
        where = self.source.downloads
        return RootlessError(
            f"cannot get {self.version}: {where} has no such release for {self.architecture.name}",
            hint=resolve.suggestion(self.version, [one for one in names if tags.is_tag(one)]),
        )


def _kind(answer: https.Document) -> str:
    if answer.is_page:
        return f"a web page, HTTP status {answer.status}"
    return f"HTTP status {answer.status}"
