"""What goes when the store is too large: the least recently used of what nobody needs, and no more than must."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lora_runtime.store.budget import USABLE_SHARE, Space, StoredFolder, surplus

GIB = 1 << 30

folders = st.lists(
    st.builds(
        StoredFolder,
        path=st.integers(0, 30).map(lambda n: Path(f"/{n}")),
        size_bytes=st.integers(0, 100),
        last_used=st.integers(0, 5),
    ),
    unique_by=lambda folder: folder.path,
)
some_needed = st.frozensets(st.integers(0, 30).map(lambda n: Path(f"/{n}")))
spaces = st.builds(
    Space,
    disk=st.just(1000),
    free=st.integers(0, 1000),
    own=st.integers(0, 1000),
    elsewhere=st.integers(0, 1000),
    limit=st.none() | st.integers(1, 2000),
)


@given(folders, some_needed, st.integers(-10, 2000))
def test_what_is_needed_never_goes(stored: list[StoredFolder], needed: frozenset[Path], excess: int) -> None:
    assert not needed & {folder.path for folder in surplus(stored, needed, excess)}


@given(folders, some_needed, st.integers(-10, 2000))
def test_enough_goes_or_all_that_may(stored: list[StoredFolder], needed: frozenset[Path], excess: int) -> None:
    gone = surplus(stored, needed, excess)
    spare = [folder for folder in stored if folder.path not in needed]
    assert sum(folder.size_bytes for folder in gone) >= excess or len(gone) == len(spare)


@given(folders, some_needed, st.integers(-10, 2000))
def test_nothing_stays_that_was_used_before_what_goes(
    stored: list[StoredFolder], needed: frozenset[Path], excess: int
) -> None:
    gone = surplus(stored, needed, excess)
    stays = [folder for folder in stored if folder.path not in needed and folder not in gone]
    latest = max((folder.last_used for folder in gone), default=0)
    assert all(folder.last_used >= latest for folder in stays)


@given(folders, some_needed, st.integers(-10, 2000))
def test_no_more_goes_than_must(stored: list[StoredFolder], needed: frozenset[Path], excess: int) -> None:
    gone = surplus(stored, needed, excess)
    assert sum(folder.size_bytes for folder in gone[:-1]) < max(excess, 1)


@given(spaces)
def test_the_store_never_may_have_more_than_the_limit_and_the_disk_allow(space: Space) -> None:
    assert space.budget <= space.most <= space.own + space.free
    if space.limit is not None:
        assert space.most + space.elsewhere <= space.limit


def test_a_limit_is_used_up_to_the_headroom_that_keeps_the_kubelet_away() -> None:
    space = Space(disk=1000 * GIB, free=900 * GIB, own=GIB, elsewhere=4 * GIB, limit=20 * GIB)
    assert space.most == space.budget == int(20 * GIB * USABLE_SHARE) - 4 * GIB == 14 * GIB


def test_without_a_limit_needless_files_leave_a_share_of_the_disk_free_and_needed_ones_use_it() -> None:
    space = Space(disk=100 * GIB, free=20 * GIB, own=10 * GIB, elsewhere=0, limit=None)
    assert space.budget == 15 * GIB
    assert space.most == 30 * GIB
