"""The assets of a release on a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from k3s_rootless import own_settings
from k3s_rootless.binaries import architectures, checksums, download, https, tags, urls
from k3s_rootless.binaries.facts import DOWNLOADS_VARIABLE, LARGEST_IMAGES, Asset
from k3s_rootless.errors import PeerError, RootlessError
from k3s_rootless.operations.releases import resolve, second_opinion
from k3s_rootless.operations.releases.events import Arrived, Arriving
from k3s_rootless.operations.releases.servers import tried

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.binaries.facts import Architecture, Source
    from k3s_rootless.operations.context import Context


_WITHOUT_MIRROR = {
    DOWNLOADS_VARIABLE: f"to use K3s's own server, run: unset {DOWNLOADS_VARIABLE}",
    own_settings.MIRROR: (
        f"to use K3s's own server, run: k3s-rootless config unset {own_settings.MIRROR}"
    ),
}
"""The hint for each origin of a mirror."""


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

    def size(self) -> int | None:
        """Return the size of K3s itself; None if the server does not name it. Raises PeerError."""
        return download.size(self.client, self._url(self.architecture.binary))

    def second_opinion(self, asset: Asset) -> second_opinion.Query | None:
        """Begin to query the forge for the digest of an asset."""
        return second_opinion.begin(self.client, self.source, self.version, asset)

    def images(self) -> Asset:
        """Return the smallest archive of images. Raises RootlessError."""
        sums = self._checksums()
        for name in architectures.archives(self.architecture):
            if name in sums:
                return Asset(name, self._url(name), sums[name], LARGEST_IMAGES)
        raise PeerError(f"cannot get images of {self.version}: {self._sums_url} lists none")

    def bring(self, asset: Asset, part: Path) -> None:
        """Download an asset and verify it. Raises RootlessError."""
        host = urls.host_of(asset.url)

        def report(received: int, size: int | None) -> None:
            self.context.listener(Arriving(asset.name, host, received, size))

        try:
            with self._naming_mirror():
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
            with self._naming_mirror():
                answer = tried(self.context, self.client.limits, self._requested)
            if answer.status == 404:
                raise self._absent()
            self._sums = checksums.parse(answer.text)
            if answer.status != 200 or not self._sums:
                raise PeerError(
                    f"cannot verify {self.version}: {urls.host_of(self._sums_url)} sent no"
                    f" checksum file ({_kind(answer)})",
                    status=answer.status,
                )
        return self._sums

    @contextmanager
    def _naming_mirror(self) -> Iterator[None]:
        """Add to an error of a mirror how to do without the mirror."""
        try:
            yield
        except PeerError as error:
            error.hint = error.hint or _WITHOUT_MIRROR.get(self.source.origin)
            raise

    def _requested(self) -> https.Document:
        answer = self.client.document(self._sums_url, checksums.LARGEST)
        if answer.status >= 500 or answer.status == 429:
            raise https.Transient(
                f"{urls.host_of(self._sums_url)} cannot answer now (HTTP status {answer.status})",
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
