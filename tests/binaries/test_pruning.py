from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.binaries import pruning
from k3s_rootless.binaries.facts import Extraction, Integrity, Leftover, Release

RELEASES = st.builds(
    Release,
    version=st.sampled_from(["v1.34.1+k3s1", "v1.35.1+k3s1", "v1.36.1+k3s1"]),
    path=st.just(Path("/own/releases/x/k3s")),
    size=st.integers(0, 10**9),
    integrity=st.sampled_from(Integrity),
    record=st.none(),
    in_use=st.booleans(),
    previous=st.booleans(),
)
EXTRACTIONS = st.builds(
    Extraction,
    path=st.builds(lambda name: Path("/d/data") / name, st.text("abc", min_size=1)),
    size=st.integers(0, 10**9),
    unfinished=st.booleans(),
    linked=st.booleans(),
    running=st.booleans(),
)


@given(
    st.lists(RELEASES, unique_by=lambda one: one.version),
    st.lists(EXTRACTIONS, unique_by=lambda one: one.path),
    st.sampled_from(["", "K3s is running"]),
)
def test_nothing_in_use_is_ever_removed(
    releases: list[Release], extractions: list[Extraction], busy: str
) -> None:
    leftovers = [Leftover(Path("/own/x.part"), 5)]
    found = pruning.judge(releases, extractions, leftovers, busy)

    assert not any(one.in_use or one.previous for one, _ in found.releases)
    assert not any(one.running for one, _ in found.extractions)
    assert not (busy and found.extractions)
    assert all(one.unfinished or not one.linked for one, _ in found.extractions)
    assert len(found.removed) + len(found.kept) == len(releases) + len(extractions) + 1
    assert all(one.reason for one in (*found.removed, *found.kept))
