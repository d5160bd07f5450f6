"""The cache's bound: what is thrown out for it, what is not, and room that is kept for whoever fills an entry."""

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from stored import KEY, NUM_ROWS, ROWS, filled, left

from trainer.activation_cache import locks
from trainer.activation_cache.entries import most_bytes
from trainer.activation_cache.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "Zwischenspeicher – 缓存", max_bytes=2**20)


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
