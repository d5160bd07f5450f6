"""The cache's files: whole or not there, and verified when read."""

import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from stored import KEY, NUM_ROWS, ROWS, filled, left, rows

from trainer.activation_cache.entries import most_bytes
from trainer.activation_cache.rows import Codec, RowFormat, codec_for
from trainer.activation_cache.shards import DamagedShard
from trainer.activation_cache.store import NoStore, Store, store_at


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "Zwischenspeicher – 缓存", max_bytes=2**20)


@pytest.mark.parametrize("codec", ["none", "deflate"])
def test_rows_come_back_as_they_were_in_any_order(store: Store, codec: Codec) -> None:
    filled(store, codec=codec)
    entry = store.find(KEY, ROWS, NUM_ROWS)
    assert entry is not None
    assert (entry.num_shards, entry.missing()) == (3, [])
    numbers = np.random.default_rng(1).permutation(NUM_ROWS)[:40]
    assert entry.read(numbers).tobytes() == rows()[numbers].tobytes()


def test_tensors_come_back_in_their_own_dtypes() -> None:
    unpacked = ROWS.unpack(rows(5))
    assert [array.dtype for array in unpacked] == [dtype.as_numpy_dtype for dtype in ROWS.dtypes_read]
    first, second = ROWS.restore([tf.constant(array) for array in unpacked[:2]])
    assert (first.dtype, second.dtype) == (tf.float32, tf.bfloat16)
    expected = tf.cast(np.random.default_rng(0).normal(size=(5, 2, 3)), tf.float32)
    np.testing.assert_array_equal(first, expected)


def test_compression_is_used_where_it_pays() -> None:
    zeros, noise = (
        ROWS.pack([values, np.zeros((9, 4), "<u2")], np.zeros(9), np.ones(9))
        for values in (np.zeros((9, 2, 3), "f4"), np.random.default_rng(0).normal(size=(9, 2, 3)).astype("f4"))
    )
    assert (codec_for(np.repeat(zeros, 1)), codec_for(rows(9))) == ("deflate", "none")
    assert codec_for(noise[:0]) == "none"


def test_features_of_size_zero_are_rows_too(store: Store) -> None:
    nothing = RowFormat((tf.TensorSpec([0], tf.float32),))
    entry = store.create(KEY, nothing, 2, "none")
    entry.write(0, nothing.pack([np.zeros((2, 0), "f4")], np.array([7, 8]), np.ones(2)))
    assert entry.read(np.array([1]))["label_id"] == [8]


@pytest.mark.parametrize("place", ["first row", "last row", "table", "footer", "cut off", "gone"])
def test_a_damaged_shard_is_found_before_it_is_read_and_when_it_is(store: Store, place: str) -> None:
    entry = filled(store)
    path = entry.folder / "shard-000001.rows"
    content = bytearray(path.read_bytes())
    row = ROWS.num_bytes
    where = {"first row": 3, "last row": 512 * row - 1, "table": 512 * row + 5, "footer": len(content) - 1}
    if place in where:
        content[where[place]] ^= 4
    path.write_bytes(content if place != "cut off" else content[:-40])
    if place == "gone":
        path.unlink()
    assert entry.missing() == [1]
    with pytest.raises(DamagedShard):
        entry.read(np.array([512, 1023]))
    entry.read(np.array([0, 1024]))


def test_a_row_in_the_place_of_another_and_a_shard_of_another_entry_are_damage(store: Store) -> None:
    entry, other = filled(store), filled(store, "b" * 32)
    first, second = (entry.folder / f"shard-{number:06d}.rows" for number in (0, 1))
    first.write_bytes(second.read_bytes())
    second.write_bytes((other.folder / second.name).read_bytes())
    assert entry.missing() == [0, 1]


@pytest.fixture
def files_of_at_most_8_kib() -> Iterator[None]:
    """What is longer cannot be written: as with a full disk, the error comes in the middle of a file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_shard_that_cannot_be_written_whole_leaves_nothing_behind(store: Store, files_of_at_most_8_kib: None) -> None:
    entry = store.create(KEY, ROWS, NUM_ROWS, "none")
    before = sorted(entry.folder.iterdir())
    with pytest.raises(OSError, match="File too large"):
        entry.write(0, rows(512))
    assert sorted(entry.folder.iterdir()) == before
    assert entry.missing() == [0, 1, 2]


def test_an_entry_takes_no_more_than_is_planned_for_it(store: Store) -> None:
    filled(store)
    assert most_bytes(ROWS, NUM_ROWS) - 128 < store.num_bytes() <= most_bytes(ROWS, NUM_ROWS)


def test_more_than_the_bound_is_an_obstacle(store: Store) -> None:
    assert "more than the cache may take (1.0 MiB)" in str(store.obstacle(2**21))
    assert store.obstacle(2**19) is None


def test_a_folder_that_cannot_be_made_is_an_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written to" in str(Store(tmp_path / "file" / "cache", 2**20).obstacle(1))


def test_a_bucket_is_no_folder_and_says_so() -> None:
    found = store_at("s3://bucket/cache", 1)
    assert isinstance(found, NoStore)
    assert "s3://bucket/cache is no mounted file system; name a local folder" in found.why


def test_an_entry_that_is_not_complete_is_thrown_out_when_it_cannot_be_completed(store: Store) -> None:
    complete, other = filled(store), filled(store, "b" * 32)
    (other.folder / "shard-000001.rows").unlink()
    for key in (KEY, "b" * 32):
        store.discard_incomplete(key, ROWS, NUM_ROWS)
    assert left(store) == {complete.key}


def test_an_entry_whose_manifest_cannot_be_read_is_begun_anew(store: Store) -> None:
    entry = filled(store)
    for content in ("", "{}", '{"format": 0}', "[]"):
        (entry.folder / "entry.json").write_text(content)
        assert store.find(KEY, ROWS, NUM_ROWS) is None
    assert len(store.create(KEY, ROWS, NUM_ROWS, "none").missing()) == 3


def test_an_entry_of_another_length_is_not_taken(store: Store) -> None:
    filled(store)
    assert store.find(KEY, ROWS, NUM_ROWS - 1) is None
