"""Archives with hostile members, restored: no path outside those of a backup may change."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from k3s_rootless.backup import replacement, slots, verify
from k3s_rootless.errors import RootlessError
from tests.backup.cluster import Cluster
from tests.backup.test_verify import MANIFEST, member

_PARTS = st.sampled_from(
    (
        "data",
        "home",
        "unit",
        "host",
        "server",
        "tls",
        "db",
        "state.db",
        "token",
        "etc",
        "rancher",
        "agent",
        "containerd",
        "config.toml.tmpl",
        "k3s.yaml",
        "k3s.yaml.d",
        "50-k3s-rootless-config.conf",
        "00-k3s-rootless-transaction.conf",
        ".bashrc",
        ".ssh",
        ".token.k3s-rootless-replaced",
        "..",
        ".",
        "",
        "/",
        "~",
        "\n",
        "\udcff",
        "x" * 120,
    )
)
_NAMES = st.lists(_PARTS, min_size=1, max_size=6).map("/".join)
_ALLOWED = st.sampled_from(
    (
        "data/server/token",
        "data/server/tls/a",
        "data/server/tls/a/b",
        "data/server/tls/../../../.bashrc",
        "data/server/db/state.db",
        "data/etc/rancher/k3s/registries.yaml",
        "unit/50-k3s-rootless-config.conf",
        "home/k3s.yaml",
        "home/.profile",
    )
)
_KINDS = st.sampled_from(
    (
        tarfile.REGTYPE,
        tarfile.REGTYPE,
        tarfile.REGTYPE,
        tarfile.AREGTYPE,
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.DIRTYPE,
        tarfile.CHRTYPE,
        tarfile.XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_SPARSE,
        b"9",
    )
)
_MEMBERS = st.lists(
    st.tuples(
        _NAMES | _ALLOWED,
        st.binary(max_size=20),
        _KINDS,
        st.sampled_from(("", "..", "/etc/passwd")),
    ),
    max_size=6,
)


@given(members=_MEMBERS, honest=st.booleans())
@example(members=[("data/server/token", b"x", tarfile.REGTYPE, "")], honest=True)
@example(members=[("home/.profile", b"x", tarfile.REGTYPE, "")], honest=True)
@example(
    members=[
        ("data/server/tls/a", b"", tarfile.SYMTYPE, "/etc"),
        ("data/server/tls/a/b", b"x", tarfile.REGTYPE, ""),
    ],
    honest=True,
)
def test_only_paths_of_a_backup_change(
    *, members: list[tuple[str, bytes, bytes, str]], honest: bool
) -> None:
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-") as name:
        cluster = Cluster(Path(name))
        for path in (cluster.data / "server/tls/old", cluster.home / ".profile"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("before")
        archive = _packed(Path(name) / "a.tar.gz", members, honest=honest)
        before = _paths(cluster.place)

        with suppress(RootlessError):
            _restore(cluster, archive)

        _assert_contained(cluster, before)


def _packed(path: Path, members: list[tuple[str, bytes, bytes, str]], *, honest: bool) -> Path:
    """Write an archive; if it is honest, its manifest lists what it contains."""
    files = [
        {
            "name": name,
            "size": len(data),
            "sha256": hashlib.sha256(data if honest else b"").hexdigest(),
            "mode": "0777",
            "modified": 1,
        }
        for name, data, _, _ in members
    ]
    content = json.dumps({**MANIFEST, "files": files}).encode("ascii")
    parts = [member("manifest.json", content)]
    for name, data, kind, link in members:
        info = tarfile.TarInfo(name)
        info.size, info.type, info.linkname = len(data), kind, link
        with suppress(ValueError):
            header = info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")
            parts.append(header + data + bytes(-len(data) % 512))
    path.write_bytes(gzip.compress(b"".join(parts) + bytes(1024), 1))
    return path


def _restore(cluster: Cluster, archive: Path) -> None:
    manifest = verify.manifest_of(archive).manifest
    found = slots.of(manifest, cluster.roots, str(cluster.configuration), ())
    file = cluster.place / "transaction.json"
    record = replacement.stage(file, archive, found, lambda _: None, running=False)
    replacement.finish(file, replacement.replace(file, record))


def _paths(place: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(place)): path.read_bytes() if path.is_file() else None
        for path in place.rglob("*")
    }


def _assert_contained(cluster: Cluster, before: dict[str, bytes | None]) -> None:
    after = _paths(cluster.place)
    changed = {path for path in {*before, *after} if before.get(path, 0) != after.get(path, 0)}
    data = str(cluster.data.relative_to(cluster.place))
    allowed = (
        *(f"{data}/server/{name}" for name in ("token", "tls", "cred", "manifests", "db")),
        f"{data}/etc",
        f"{data}/agent",
        str(cluster.configuration.relative_to(cluster.place)),
        str(cluster.drop_ins.relative_to(cluster.place)),
    )
    above = {str(parent) for path in allowed for parent in Path(path).parents}
    assert {path for path in changed if not path.startswith(allowed)} <= above
    assert not any(path.is_symlink() for path in cluster.place.rglob("*"))
    assert after["home/.profile"] == b"before"
    assert not any("k3s-rootless-re" in path for path in after if "conf" not in path)
