"""Backups with volumes and images, restored here, into other directories and on another machine."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from k3s_rootless.backup import archive, names, objects, persistent_volumes
from k3s_rootless.backup import manifest as manifests
from k3s_rootless.backup import record as records
from k3s_rootless.backup.facts import Backup, Datastore, Parts, Phase, Root
from k3s_rootless.backup.volumes.in_namespace import InNamespace
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s.config_file import ConfigFile
from k3s_rootless.k3s.settings import Inputs, Settings, resolve
from k3s_rootless.observation import Known
from k3s_rootless.operations.backup import adapting, create, kept, restore, volume_access
from k3s_rootless.operations.backup.adapting import Adapted
from k3s_rootless.operations.backup.surroundings import Surroundings
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event
from k3s_rootless.paths import UNIT, Paths
from k3s_rootless.service.drop_ins import configuration, drop_in, environment
from k3s_rootless.service.facts import UnitState
from tests.backup.cluster import NOW, Cluster, opened
from tests.backup.test_persistent_volumes import ENCODED
from tests.backup.volumes import trees
from tests.backup.volumes.test_round_trip import described
from tests.killing import killed_at_many_points
from tests.linux.test_user_namespace import needs_namespaces, needs_root
from tests.operations import unit
from tests.operations.backup.k3s import FakeCluster

pytestmark = [needs_namespaces, needs_root]
NODE = os.uname().nodename.lower()
REQUEST = create.Request(volumes=True, images=True)


@dataclass
class Machine:
    """A machine with the K3s of one user, without a user manager."""

    cluster: Cluster
    context: Context
    events: list[Event]
    user: str

    @property
    def storage(self) -> Path:
        """The directory of volumes."""
        return self.cluster.data / "storage"

    @property
    def here(self) -> Surroundings:
        """The surroundings of a stopped K3s."""
        found = self.cluster
        roots = {**found.roots, Root.VOLUMES: self.storage}
        settings: Settings = resolve(
            Inputs(
                found.home,
                argv=("/k3s", "server", f"--data-dir={found.data}"),
                files=(ConfigFile(found.configuration, Known(())),),
                config=str(found.configuration),
            )
        )
        origin = replace(
            found.origin,
            user=self.user,
            node=NODE,
            roots={root: str(path) for root, path in roots.items()},
        )
        unit_file = found.drop_ins.parent / UNIT
        state = UnitState(UNIT, "loaded", "inactive", "dead", fragment=unit_file)
        return Surroundings(state, settings, origin, roots, Datastore.SQLITE)

    @property
    def access(self) -> InNamespace:
        """The way to the volumes."""
        return volume_access.of(self.context, self.cluster.data / "rootless")

    def fake(self, *, ready: bool = True) -> FakeCluster:
        """Return the stop and start of K3s."""
        return FakeCluster(
            self.context, self.cluster.data, ready=ready, running=False, access=self.access
        )


def machine(place: Path, user: str) -> Machine:
    """Return a machine with a unit, and with a newuidmap for root."""
    found = Cluster(place)
    root = place / "root"
    for directory in (root / "usr/bin", root / "etc", found.drop_ins, found.data):
        directory.mkdir(parents=True)
    trees.root_mapping(root / "usr/bin")
    for kind in ("subuid", "subgid"):
        (root / "etc" / kind).write_text(f"root:{trees.FIRST}:{trees.IDS}\n")
    text = f"[Service]\nExecStart=/home/{user}/bin/k3s server --rootless\n"
    (found.drop_ins.parent / UNIT).write_text(text)
    events: list[Event] = []
    paths = Paths(root, found.home, place / "run", found.home / ".config")
    return Machine(found, Context(paths, {}, 0, "root", events.append), events, user)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Yield a directory in memory, or on the disk if memory stores no attributes of users."""
    try:
        os.setxattr("/dev/shm", "user.k3s-rootless-test", b"")
        os.removexattr("/dev/shm", "user.k3s-rootless-test")
    except OSError:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-", dir="/dev/shm") as name:
        yield Path(name)


@pytest.fixture
def alice(place: Path) -> Machine:
    """Return the machine of a backup, with volumes, images and their objects."""
    found = machine(place / "alice", "alice")
    cluster = found.cluster.make()
    trees.make(found.storage)
    (cluster.data / "agent/images").mkdir(parents=True)
    (cluster.data / "agent/images/a.tar").write_bytes(b"image" * 100)
    command = configuration.render(
        {"write-kubeconfig": (f"{cluster.home}/kube",), "data-dir": (str(cluster.data),)},
        ("/home/alice/bin/k3s", "server", "--rootless"),
    )
    assert command
    (cluster.drop_ins / "50-k3s-rootless-config.conf").write_text(command)
    assigned = environment.render(
        {
            "K3S_CONFIG_FILE": str(cluster.configuration),
            "K3S_ROOTLESS_COPYUPDIRS": f"{cluster.home}/a",
        }
    )
    assert assigned
    (cluster.drop_ins / "50-k3s-rootless-environment.conf").write_text(assigned)
    cluster.configuration.write_text(f"tls-san: a\nlog: {cluster.home}/log\n")
    store(found, "pvc-local", f"{found.storage}/pvc-1_default_data")
    store(found, "nfs", None)
    return found


def store(found: Machine, name: str, path: str | None, kind: str = "protobuf") -> None:
    """Write a PersistentVolume as the API server stores it, in two revisions."""
    key = f"{persistent_volumes.PREFIX}{name}"
    value = ENCODED[kind][name]
    if path is not None:
        value = persistent_volumes.moved(persistent_volumes.read(1, key, value), value, path)
    insert(found, key, b"an earlier revision", value)


def insert(found: Machine, key: str, *values: bytes) -> None:
    """Write the revisions of an object."""
    with closing(opened(found.cluster.database)) as database:
        for value in values:
            database.execute(
                "INSERT INTO kine (name, deleted, value) VALUES (?, 0, ?)", (key, value)
            )
        database.commit()


def stored(found: Machine) -> dict[str, str]:
    """Return the paths of the PersistentVolumes in the datastore."""
    rows = objects.below(found.cluster.database, persistent_volumes.PREFIX)
    return {one.name: one.path for one in (persistent_volumes.read(*row) for row in rows)}


def back_up(found: Machine, request: create.Request = REQUEST) -> Backup:
    """Create a backup of a stopped K3s."""
    # Two backups of one second have the same name.
    created = create.write(found.context, replace(request, force=True), found.here, None)
    return kept.verified(found.context, created.path)


def adapt(found: Machine, backup: Backup, *, volumes: bool = True, node: str = NODE) -> Adapted:
    """Check a backup and adapt it; the prepared files are in a directory of the machine."""
    folder = found.cluster.place / "prepared"
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    here = found.here
    here = replace(here, origin=replace(here.origin, node=node))
    restore.check(found.context, backup.path, here, folder)
    return adapting.adapt(found.context, backup, here, folder, volumes=volumes)


def put(found: Machine, backup: Backup, cluster: FakeCluster | None = None) -> restore.Restored:
    """Restore a backup."""
    adapted = adapt(found, backup)
    choice = restore.Choice(adapted)
    return restore.place(found.context, backup, found.here, cluster or found.fake(), choice)


@pytest.fixture
def backup(alice: Machine) -> Backup:
    """Return a backup of the first machine."""
    return back_up(alice)


@pytest.fixture
def bob(place: Path, backup: Backup) -> Iterator[Machine]:
    """Return another machine with another user, and a K3s of its own."""
    found = machine(place / "bob", "bob")
    found.cluster.make("second")
    shutil.rmtree(found.cluster.data / "server/manifests")
    yield found
    assert not list(found.cluster.place.rglob(".*k3s-rootless-re*"))
    assert records.load(found.context.paths.transaction) is None


def test_volumes_and_images_come_back(alice: Machine, backup: Backup) -> None:
    assert backup.manifest.volumes is not None
    assert backup.manifest.volumes.consistent
    before = described(alice.storage)
    trees.clear(alice.storage)
    (alice.storage / "pvc-1_default_data").mkdir(parents=True)
    (alice.storage / "pvc-1_default_data/later").write_text("later")
    os.chown(alice.storage / "pvc-1_default_data", trees.FIRST + 5, trees.FIRST + 5)
    (alice.cluster.data / "agent/images/b.tar").write_text("later")

    done = put(alice, backup)

    assert before == described(alice.storage)
    assert [path.name for path in (alice.cluster.data / "agent/images").iterdir()] == ["a.tar"]
    assert not list(alice.cluster.data.rglob(".*k3s-rootless-*"))
    assert done.adapted == ()


def test_the_names_of_the_drop_ins_that_are_restored() -> None:
    subjects = (configuration.SUBJECT, environment.SUBJECT)
    assert {drop_in.name(subject) for subject in subjects} == names.DROP_INS


def test_no_drop_in_of_a_backup_runs_a_program(alice: Machine) -> None:
    evil = "ExecStartPre=/tmp/evil\n"
    (alice.cluster.drop_ins / "50-k3s-rootless-evil.conf").write_text(f"[Service]\n{evil}")
    (alice.cluster.drop_ins / "50-k3s-rootless-evil.conf").chmod(0o777)
    for subject in names.DROP_INS:
        path = alice.cluster.drop_ins / subject
        path.write_text(f"{path.read_text()}\n[Service]\n{evil}Environment=LD_PRELOAD=/tmp/evil\n")
        path.chmod(0o777)
    command = alice.cluster.drop_ins / "50-k3s-rootless-config.conf"
    command.write_text(f"{command.read_text()}[X-K3sRootless]\nMemoryMax=1G\\\n")
    (alice.cluster.data / "server/token").chmod(0o666)
    adapted = adapt(alice, back_up(alice))
    assert any("LD_PRELOAD is not restored" in warning for warning in adapted.warnings)
    assert any("MemoryMax is not restored" in warning for warning in adapted.warnings)

    put(alice, back_up(alice))

    assert {path.name for path in alice.cluster.drop_ins.iterdir()} == {
        *names.DROP_INS,
        "override.conf",
    }
    for subject in names.DROP_INS:
        text = (alice.cluster.drop_ins / subject).read_text()
        assert "evil" not in text
        assert "MemoryMax" not in text
    modes = {
        name: (alice.cluster.place / name).stat().st_mode & 0o777
        for name in (
            "home/.rancher/k3s/server/token",
            "home/.rancher/k3s/server/tls/server-ca.crt",
            "home/.config/systemd/user/k3s-rootless.service.d/50-k3s-rootless-config.conf",
            "home/.config/systemd/user/k3s-rootless.service.d/50-k3s-rootless-environment.conf",
        )
    }
    assert [0o600, 0o644, 0o644, 0o600] == list(modes.values())


def test_volumes_that_are_not_in_the_backup_stay(alice: Machine) -> None:
    plain = back_up(alice, create.Request())
    before = described(alice.storage)
    assert plain.manifest.volumes is None
    left_out = {one.path: one.reason for one in plain.manifest.left_out}
    assert "--volumes" in left_out["storage"]
    assert "--images" in left_out["agent/images"]

    put(alice, plain)

    assert before == described(alice.storage)
    assert (alice.cluster.data / "agent/images/a.tar").exists()


def test_volumes_are_put_back_if_k3s_does_not_get_ready(alice: Machine, backup: Backup) -> None:
    (alice.storage / "pvc-1_default_data/later").write_text("later")
    before = described(alice.storage)

    class Failing(FakeCluster):
        def wait(self, release: str = "") -> None:
            super().wait(release)
            if "again" not in self.calls:
                self.calls.append("again")
                raise RootlessError("it is not ready")

    cluster = Failing(alice.context, alice.cluster.data, running=False, access=alice.access)
    with pytest.raises(RootlessError, match="the earlier state was put back"):
        put(alice, backup, cluster)

    assert before == described(alice.storage)
    assert not list(alice.cluster.data.rglob(".*k3s-rootless-*"))


def test_an_undo_without_a_namespace_leaves_volumes_to_the_next_restore(
    alice: Machine, backup: Backup
) -> None:
    mapping = alice.context.paths.root / "usr"
    before = described(alice.storage)

    class Failing(FakeCluster):
        def wait(self, release: str = "") -> None:
            super().wait(release)
            mapping.rename(mapping.with_name("away"))
            self.access = alice.access
            raise RootlessError("it is not ready")

    failing = Failing(alice.context, alice.cluster.data, running=False, access=alice.access)
    with pytest.raises(RootlessError, match="the earlier state was put back"):
        put(alice, backup, failing)

    assert records.load(alice.context.paths.transaction) is None
    assert before == described(alice.storage)
    left = alice.storage.with_name(".storage.k3s-rootless-undone")
    assert left.exists()
    assert any("warning: cannot remove" in one for one in unit.notices(alice.events))

    mapping.with_name("away").rename(mapping)
    put(alice, backup)
    assert not left.exists()


def test_staged_volumes_are_removed_once_k3s_runs_again(alice: Machine, backup: Backup) -> None:
    """On some hosts, only the namespace of a running K3s allows this."""

    class Interrupted(FakeCluster):
        def stop(self) -> None:
            super().stop()
            os._exit(0)

    cluster = Interrupted(alice.context, alice.cluster.data, access=alice.access)
    here = replace(
        alice.here, state=replace(alice.here.state, active_state="active", sub_state="running")
    )
    choice = restore.Choice(adapt(alice, backup))
    child = os.fork()
    if not child:
        restore.place(alice.context, backup, here, cluster, choice)
    os.waitpid(child, 0)
    record = records.load(alice.context.paths.transaction)
    assert record
    assert (record.phase, record.running) == (Phase.STAGING, True)

    class Started(FakeCluster):
        def volume_access(self) -> InNamespace:
            assert self.calls == ["release", "start", "wait"]
            return super().volume_access()

    again = Started(alice.context, alice.cluster.data, running=False, access=alice.access)
    restore.abort_with(alice.context, record, again)

    assert not list(alice.cluster.data.rglob(".*k3s-rootless-*"))
    assert records.load(alice.context.paths.transaction) is None


def test_other_settings_of_a_k3s_that_is_starting_put_the_earlier_state_back(
    alice: Machine, backup: Backup
) -> None:
    (alice.storage / "pvc-1_default_data/later").write_text("later")
    before = described(alice.storage)

    class Interrupted(FakeCluster):
        def wait(self, release: str = "") -> None:
            super().wait(release)
            raise KeyboardInterrupt

    interrupted = Interrupted(alice.context, alice.cluster.data, running=False, access=alice.access)
    with pytest.raises(KeyboardInterrupt):
        put(alice, backup, interrupted)
    record = records.load(alice.context.paths.transaction)
    assert record
    assert record.phase is Phase.PLACED
    running = FakeCluster(alice.context, alice.cluster.data, access=alice.access)
    running.settings = replace(record.expected, data="/elsewhere")

    with pytest.raises(RootlessError, match="other settings; the earlier state was put back"):
        restore.resume_with(alice.context, record, running)

    assert before == described(alice.storage)
    assert running.calls[0] == "stop"


@pytest.mark.thorough
def test_a_restore_of_volumes_killed_anywhere(alice: Machine, backup: Backup) -> None:
    adapted = adapt(alice, backup)
    first = described(alice.storage)
    (alice.storage / "pvc-1_default_data/later").write_text("later")
    second = described(alice.storage)
    phases = set()
    choice = restore.Choice(adapted)
    # At few points only, because each namespace costs time.
    for point in killed_at_many_points(
        lambda: restore.place(alice.context, backup, alice.here, alice.fake(), choice), step=25
    ):
        record = records.load(alice.context.paths.transaction)
        if record is not None:
            phases.add(record.phase)
            undo = record.phase is Phase.STAGING or (
                point // 25 % 2 and record.phase is not Phase.READY
            )
            work = restore.abort_with if undo else restore.resume_with
            work(alice.context, record, alice.fake())
        assert described(alice.storage) in (first, second)
        assert not list(alice.cluster.data.rglob(".*k3s-rootless-*"))
        for left in alice.context.paths.own.glob(".transaction.json.*.new"):
            left.unlink()
    assert Phase.STAGING in phases
    assert len(phases) > 1


def test_another_machine_and_user(alice: Machine, backup: Backup, bob: Machine) -> None:
    before = described(alice.storage)

    done = put(bob, backup)

    assert before == described(bob.storage)
    assert stored(bob) == {"pvc-local": f"{bob.storage}/pvc-1_default_data", "nfs": ""}
    home = bob.cluster.home
    assert bob.cluster.configuration.read_text() == f"tls-san: a\nlog: {home}/log\n"
    command = (bob.cluster.drop_ins / "50-k3s-rootless-config.conf").read_text()
    assert configuration.parse(command)["data-dir"] == (str(bob.cluster.data),)
    assert configuration.command_words(command)[0] == "/home/bob/bin/k3s"
    assigned = (bob.cluster.drop_ins / "50-k3s-rootless-environment.conf").read_text()
    assert environment.read(assigned) == {
        "K3S_ROOTLESS_COPYUPDIRS": f"{home}/a",
        "K3S_CONFIG_FILE": str(bob.cluster.configuration),
    }
    assert any("pvc-local (claim default/data)" in line for line in done.adapted)
    assert (bob.cluster.data / "agent/etc/rancher/node/password").read_text() == "first"
    assert len(bob.cluster.rows()) == len(alice.cluster.rows())
    document = restore.document(done)
    assert document["adapted"] == list(done.adapted)


def test_only_the_value_of_a_moved_volume_changes(
    alice: Machine, backup: Backup, bob: Machine
) -> None:
    put(bob, backup)

    def rows(found: Machine) -> list[tuple[object, ...]]:
        with closing(opened(found.cluster.database)) as database:
            return list(database.execute("SELECT * FROM kine ORDER BY id"))

    changed = [
        (one, other) for one, other in zip(rows(alice), rows(bob), strict=True) if one != other
    ]
    assert len(changed) == 1
    one, other = changed[0]
    assert one[:-2] == other[:-2]
    assert one[1] == f"{persistent_volumes.PREFIX}pvc-local"


def test_the_node_keeps_its_name(backup: Backup, bob: Machine) -> None:
    adapted = adapt(bob, backup, node="bobs-laptop")

    text = adapted.contents["unit/50-k3s-rootless-environment.conf"].read_text()
    assert environment.read(text)["K3S_NODE_NAME"] == NODE
    assert adapted.expected.node == NODE
    assert any("keeps this name" in line for line in adapted.lines)


def test_a_data_directory_that_is_set_here_stays(alice: Machine, bob: Machine) -> None:
    (alice.cluster.drop_ins / "50-k3s-rootless-config.conf").unlink()
    backup = back_up(alice)
    own = configuration.render({"data-dir": (str(bob.cluster.data),)}, ("/k3s", "server"))
    assert own
    (bob.cluster.drop_ins / "50-k3s-rootless-config.conf").write_text(own)

    put(bob, backup)

    command = (bob.cluster.drop_ins / "50-k3s-rootless-config.conf").read_text()
    assert configuration.parse(command) == {"data-dir": (str(bob.cluster.data),)}
    assert configuration.command_words(command)[0] == "/home/bob/bin/k3s"


def test_a_backup_without_volumes_is_refused_with_the_list(alice: Machine, bob: Machine) -> None:
    plain = back_up(alice, create.Request())
    before = bob.cluster.snapshot()

    with pytest.raises(RootlessError, match="have no data") as error:
        adapt(bob, plain)

    expected = f"pvc-local (claim default/data): {bob.storage}/pvc-1_default_data"
    assert expected in error.value.message
    assert "nfs" not in error.value.message
    assert "--no-volumes" in (error.value.hint or "")
    shutil.rmtree(bob.cluster.place / "prepared")
    assert before == bob.cluster.snapshot()

    adapted = adapt(bob, plain, volumes=False)
    assert any(expected in one for one in adapted.warnings)


def test_volumes_that_were_copied_by_hand_count(alice: Machine, bob: Machine) -> None:
    plain = back_up(alice, create.Request())
    (bob.storage / "pvc-1_default_data").mkdir(parents=True)

    put(bob, plain)

    assert stored(bob)["pvc-local"] == f"{bob.storage}/pvc-1_default_data"
    assert (bob.storage / "pvc-1_default_data").exists()


def test_a_missing_volume_is_refused_on_the_same_machine_as_well(alice: Machine) -> None:
    plain = back_up(alice, create.Request())
    shutil.rmtree(alice.storage)

    with pytest.raises(RootlessError, match="have no data"):
        adapt(alice, plain)


@pytest.mark.parametrize("value", [b"k8s:enc:secretbox:v1:key1:\x01", b"junk"])
def test_an_object_of_an_unknown_format(value: bytes, alice: Machine, bob: Machine) -> None:
    insert(alice, f"{persistent_volumes.PREFIX}encrypted", value)
    backup = back_up(alice)

    with pytest.raises(RootlessError, match=r"encrypted.*its path cannot be adapted"):
        adapt(bob, backup)

    assert any("encrypted" in one for one in adapt(alice, backup).warnings)


def test_other_objects_with_paths_are_named(alice: Machine, bob: Machine) -> None:
    insert(alice, "/registry/deployments/default/web", f"x{alice.cluster.home}/data".encode())
    insert(alice, "/registry/deployments/default/other", f"{alice.cluster.home}2".encode())
    backup = back_up(alice)

    *_, warning = adapt(bob, backup).warnings

    assert warning.endswith("not changed: deployments/default/web")


def test_a_node_name_that_is_set_here_is_refused(backup: Backup, bob: Machine) -> None:
    here = bob.here
    settings = resolve(Inputs(bob.cluster.home, argv=("/k3s", "server", "--node-name", "fixed")))
    here = replace(here, settings=settings)
    folder = bob.cluster.place / "prepared"
    folder.mkdir()
    restore.check(bob.context, backup.path, here, folder)

    with pytest.raises(RootlessError, match="node-name is fixed here"):
        adapting.adapt(bob.context, backup, here, folder, volumes=True)


def test_settings_that_lead_elsewhere_put_the_earlier_state_back(
    backup: Backup, bob: Machine
) -> None:
    before = bob.cluster.snapshot()
    cluster = bob.fake()
    cluster.settings = replace(adapt(bob, backup).expected, data="/elsewhere")

    with pytest.raises(RootlessError, match="other settings; the earlier state was put back"):
        put(bob, backup, cluster)

    shutil.rmtree(bob.cluster.place / "prepared")
    after = {path: text for path, text in bob.cluster.snapshot().items() if "coredns" not in path}
    assert {path for path in before if "state.db-" not in path} <= set(after)
    assert (bob.cluster.data / "server/token").read_text() == "K10::server:second\n"


def test_too_few_ids_and_too_little_space(backup: Backup, bob: Machine) -> None:
    volumes = backup.manifest.volumes
    assert volumes
    volume_access.require_room(backup, bob.here, bob.access)
    many = replace(backup.manifest, volumes=replace(volumes, largest_id=trees.IDS + 1))
    large = replace(backup.manifest, volumes=replace(volumes, content=2**60))

    with pytest.raises(RootlessError, match=f"you have {trees.IDS + 1} ids"):
        volume_access.require_room(replace(backup, manifest=many), bob.here, bob.access)
    with pytest.raises(RootlessError, match="bytes left"):
        volume_access.require_room(replace(backup, manifest=large), bob.here, bob.access)


def test_a_host_without_newuidmap_writes_no_backup(alice: Machine) -> None:
    shutil.rmtree(alice.context.paths.root / "usr")

    with pytest.raises(RootlessError, match="newuidmap was not found"):
        back_up(alice)

    assert list(alice.context.paths.backups.iterdir()) == []


def test_no_volumes_at_all(alice: Machine) -> None:
    shutil.rmtree(alice.storage)

    backup = back_up(alice)

    assert backup.manifest.volumes is None
    assert any("there are no volumes" in one for one in unit.notices(alice.events))


def test_a_manifest_that_does_not_match_the_volumes(alice: Machine, backup: Backup) -> None:
    manifest = backup.manifest
    volumes = manifest.volumes
    assert volumes
    without = tuple(one for one in manifest.entries if one.name != manifests.VOLUMES)
    for wrong in (
        replace(manifest, volumes=None),
        replace(manifest, entries=without),
        replace(manifest, volumes=replace(volumes, files=-1)),
    ):
        with pytest.raises(RootlessError, match="volumes"):
            manifests.parse(manifests.render(wrong))

    other = replace(manifest, volumes=replace(volumes, files=volumes.files + 1))
    copies = alice.cluster.place / "copies"
    copies.mkdir()
    copying = create._Copying(  # noqa: SLF001 (the copies of a backup)
        alice.context, alice.here, copies, Parts(volumes=True, images=True), live=False
    )
    copying.manifest(NOW)
    archive.write(alice.cluster.place / "b.tar.gz", other, copies, force=True)
    with pytest.raises(RootlessError, match="another number of files"):
        kept.verified(alice.context, alice.cluster.place / "b.tar.gz")


def test_the_manifest_says_that_volumes_may_be_inconsistent(alice: Machine) -> None:
    copying = create._Copying(  # noqa: SLF001 (a running K3s needs a user manager)
        alice.context, alice.here, alice.cluster.place / "copies", Parts(volumes=True), live=True
    )
    (alice.cluster.place / "copies").mkdir()

    found = copying.manifest(NOW)

    assert found.volumes is not None
    assert not found.volumes.consistent
    text = json.loads(manifests.render(found))
    assert text["volumes"]["note"] == manifests.INCONSISTENT
    assert manifests.parse(manifests.render(found)) == found
