"""The cache's files: whole or not there, verified when read, bounded, and safe against other processes."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainer.activation_cache import locks
from trainer.activation_cache.entries import Entry, most_bytes
from trainer.activation_cache.rows import Codec, RowFormat, codec_for
from trainer.activation_cache.shards import DamagedShard
from trainer.activation_cache.store import NoStore, Store, store_at

ROWS = RowFormat((tf.TensorSpec([2, 3], tf.float32), tf.TensorSpec([4], tf.bfloat16)))
NUM_ROWS = 1300
KEY = "a" * 32


def rows(num_rows: int = NUM_ROWS, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    tensors = draw.normal(size=(num_rows, 2, 3)).astype("f4"), tf.cast(draw.normal(size=(num_rows, 4)), tf.bfloat16)
    return ROWS.pack([tensors[0], tensors[1].numpy()], np.arange(num_rows), np.ones(num_rows))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "Zwischenspeicher – 缓存", max_bytes=2**20)


def filled(store: Store, key: str = KEY, codec: Codec = "none") -> Entry:
    entry = store.create(key, ROWS, NUM_ROWS, codec)
    for shard in range(entry.num_shards):
        numbers = entry.rows_of(shard)
        entry.write(shard, rows()[numbers.start : numbers.stop])
    return entry


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


def room(store: Store, num_bytes: int, *others: str) -> str | None:
    """Why there is none for an entry of so many bytes, beside others of no more than they have; kept no longer."""
    with store.room_for({"new": num_bytes, **dict.fromkeys(others, 0)}) as obstacle:
        return obstacle


def test_the_least_recently_used_entries_are_thrown_out(store: Store) -> None:
    keys = ["1", "2", "3"]
    found = [filled(store, key) for key in keys]
    for age, entry in zip((30, 10, 20), found, strict=True):
        os.utime(entry.folder / "entry.json", (1_000_000 - age, 1_000_000 - age))
    size = store.num_bytes() // 3
    bounded = Store(store.folder, max_bytes=3 * size + 300)
    assert room(bounded, size // 2) is None
    assert left(store) == {"2", "3"}
    found[2].mark_used()
    assert room(bounded, 2 * size) is None
    assert left(store) == {"3"}
    assert "no room" in str(room(bounded, 3 * size, "3"))
    assert left(store) == {"3"}


def left(store: Store) -> set[str]:
    return {path.name for path in (store.folder / "entries").iterdir()}


def test_what_is_in_use_is_not_thrown_out(store: Store) -> None:
    filled(store)
    bounded = Store(store.folder, max_bytes=store.num_bytes())
    with store.using(KEY):
        assert "no room" in str(room(bounded, 100))
        assert left(store) == {KEY}
    assert room(bounded, 100) is None
    assert left(store) == set()


def test_room_that_is_promised_to_one_pass_is_not_given_to_another(store: Store) -> None:
    """Each of them alone would fit; what the first has written is not counted twice."""
    entry = filled(store)
    size = most_bytes(ROWS, NUM_ROWS)
    bounded = Store(store.folder, max_bytes=2 * size + 100)
    shutil.rmtree(entry.folder)
    with bounded.room_for({KEY: size}) as first:
        assert first is None
        assert "no room" in str(room(bounded, size + 101))
        filled(store)
        assert "no room" in str(room(bounded, size + 101))
        assert left(store) == {KEY}, "it is being filled, although nobody holds it"
        assert room(bounded, size) is None
        assert "no room" in str(room(bounded, 2 * size, KEY))
    assert room(bounded, 2 * size) is None
    assert left(store) == set()
    assert not list((store.folder / "promised").iterdir())


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


def test_what_killed_processes_left_half_done_is_removed_after_a_while(store: Store) -> None:
    entry = filled(store)
    leftovers = [
        store.folder / ".trial-1",
        store.folder / "entries" / ".going-2",
        entry.folder / ".being-written-shard-000001.rows-3",
    ]
    for path in leftovers[:2]:
        path.mkdir()
        (path / "file").write_text("")
    leftovers[2].write_text("")
    room(store, 0)
    assert all(path.exists() for path in leftovers), "somebody may be at it"
    for path in leftovers:
        os.utime(path, (0, 0))
    room(store, 0)
    assert not any(path.exists() for path in leftovers)
    assert entry.missing() == []


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


@contextmanager
def another_process(script: str, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """That runs as far as to where it says that it holds something, and is killed at the end."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_lock_goes_with_the_process_that_held_it(tmp_path: Path) -> None:
    """A second process waits for the first; when that is killed, the lock is free."""
    script = """
        import sys, time
        from pathlib import Path
        from trainer.activation_cache import locks
        with locks.exclusive(Path(sys.argv[1])):
            print("held", flush=True)
            time.sleep(60)
        """
    path = tmp_path / "lock"
    with another_process(script, path) as process:
        with locks.exclusive_or_none(path) as is_free:
            assert not is_free
        with locks.exclusive(path, while_waiting=process.kill):
            pass


def test_what_another_process_uses_or_was_promised_is_kept_until_it_ends(store: Store) -> None:
    """However it ends."""
    filled(store)
    script = """
        import sys, time
        from pathlib import Path
        from trainer.activation_cache import locks, promises
        lock, folder, size = sys.argv[1:]
        with locks.shared(Path(lock)), promises.promise(Path(folder), {"another": int(size)}):
            print("held", flush=True)
            time.sleep(60)
        """
    bounded = Store(store.folder, max_bytes=store.num_bytes() + 1000)
    with another_process(script, store._lock(KEY, "use"), store.folder / "promised", 600) as process:
        assert room(bounded, 400) is None
        assert "no room" in str(room(bounded, 401))
        assert left(store) == {KEY}
        process.kill()
        process.wait()
        assert room(bounded, 1000) is None
        assert left(store) == {KEY}
        assert room(bounded, 1001) is None
        assert left(store) == set()
