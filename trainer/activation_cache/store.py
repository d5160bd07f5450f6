"""The cache's folder: entries by key, a bound on what they take, and what is thrown out for it."""

import contextlib
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from trainer.activation_cache import entries, locks, promises
from trainer.activation_cache.entries import Entry
from trainer.activation_cache.rows import Codec, RowFormat
from trainer.activation_cache.shards import TEMPORARY

# Of the disk's free space, what is left to others.
_LEAST_FREE_SHARE = 0.05
# What killed processes left half written or half removed; younger ones may be at it still.
_LEFTOVERS = (".trial-*", "entries/.going-*", f"entries/*/{TEMPORARY}*")
_LEFTOVER_AGE_S = 3600.0


@dataclass(frozen=True)
class NoStore:
    """In the place of a store where there is none.

    Attributes:
        why: in words.
    """

    why: str = "no folder was given to keep it in"


NO_STORE = NoStore()


def store_at(folder: str | Path | None, max_gib: float) -> "Store | NoStore":
    """The store in a folder; none where there is no folder, or it is in no file system that is mounted here."""
    if folder is None:
        return NO_STORE
    if "://" in str(folder):
        return NoStore(f"{folder} is no mounted file system; name a local folder as infrastructure.cache.folder")
    return Store(Path(folder), int(max_gib * 2**30))


@dataclass(frozen=True)
class Store:
    """A folder that several processes may use at once.

    Attributes:
        folder: a local or mounted folder; made when it is first needed.
        max_bytes: the most that all entries together may take.
    """

    folder: Path
    max_bytes: int

    def find(self, key: str, row_format: RowFormat, num_rows: int) -> Entry | None:
        """An entry that is there, complete or not."""
        return entries.find(self._folder_of(key), key, row_format, num_rows)

    def create(self, key: str, row_format: RowFormat, num_rows: int, codec: Codec) -> Entry:
        """Makes an entry without rows; to be done with `filling`."""
        self._remove(self._folder_of(key))  # what could not be read
        return entries.create(self._folder_of(key), key, row_format, num_rows, codec)

    @contextmanager
    def using(self, key: str) -> Iterator[None]:
        """Keeps an entry from being thrown out."""
        with locks.shared(self._lock(key, "use")):
            yield

    @contextmanager
    def filling(self, key: str, while_waiting: Callable[[], None]) -> Iterator[None]:
        """Keeps others from writing to an entry; waits until nobody else does."""
        with locks.exclusive(self._lock(key, "fill"), while_waiting):
            yield

    def obstacle(self, num_bytes: int) -> str | None:
        """Why so much can never be written, in words; None where it can."""
        if num_bytes > self.max_bytes:
            return f"{in_words(num_bytes)} are more than the cache may take ({in_words(self.max_bytes)})"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / "locks" / "room"
            with locks.exclusive(probe):
                probe.touch()
        except OSError as error:
            return f"the cache folder {str(self.folder)!r} cannot be written to ({error.strerror})"
        return None

    @contextmanager
    def room_for(self, planned: Mapping[str, int]) -> Iterator[str | None]:
        """Throws out the least recently used entries that nobody uses, until others can be filled, and keeps the room.

        Args:
            planned: the most bytes that each entry will take, what lies there of it included, by key; these stay.

        Yields:
            Why there is no room, in words; None where there is. It is kept until the end: whoever else asks for room
            meanwhile finds it taken.

        Raises:
            OSError: nothing can be written there.
        """
        with ExitStack() as kept:
            with locks.exclusive(self.folder / "locks" / "room"):
                obstacle = self._make_room(planned)
                if obstacle is None:
                    kept.enter_context(promises.promise(self.folder / "promised", planned))
            yield obstacle

    def discard_incomplete(self, key: str, row_format: RowFormat, num_rows: int) -> None:
        """Throws an entry out that cannot be completed, as far as that can be, whether others wait for it or not."""
        entry = self.find(key, row_format, num_rows)
        if entry is not None and not entry.has_all_shards:
            with contextlib.suppress(OSError):
                self._remove(entry.folder)

    def num_bytes(self) -> int:
        """What all entries take."""
        return sum(map(entries.num_bytes_of, self._all()))

    def _make_room(self, planned: Mapping[str, int]) -> str | None:
        self._remove_leftovers()
        expected = promises.promised(self.folder / "promised")
        for key, num_bytes in planned.items():
            expected[key] = max(num_bytes, expected.get(key, 0))
        others = sorted((folder for folder in self._all() if folder.name not in expected), key=entries.last_use)
        while self._lacks(expected):
            if not others:
                total = in_words(sum(planned.values()))
                return f"there is no room for {total} in {str(self.folder)!r} beside what is in use"
            self._remove_if_unused(others.pop(0))
        return None

    def _lacks(self, expected: Mapping[str, int]) -> bool:
        taken = {folder.name: entries.num_bytes_of(folder) for folder in self._all()}
        to_come = sum(max(num_bytes - taken.get(key, 0), 0) for key, num_bytes in expected.items())
        free = shutil.disk_usage(self.folder).free * (1 - _LEAST_FREE_SHARE)
        return sum(taken.values()) + to_come > self.max_bytes or to_come > free

    def _remove_if_unused(self, folder: Path) -> None:
        with locks.exclusive_or_none(self._lock(folder.name, "use")) as is_unused:
            if is_unused:
                with contextlib.suppress(OSError):  # that of another user, for instance
                    self._remove(folder)

    def _remove(self, folder: Path) -> None:
        """The name goes first: who looks meanwhile finds nothing rather than a part."""
        doomed = folder.with_name(f".going-{folder.name}-{uuid.uuid4().hex}")
        with contextlib.suppress(FileNotFoundError):
            folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def _remove_leftovers(self) -> None:
        for path in (path for pattern in _LEFTOVERS for path in self.folder.glob(pattern)):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _LEFTOVER_AGE_S:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _all(self) -> list[Path]:
        root = self.folder / "entries"
        return (
            [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
            if root.is_dir()
            else []
        )

    def _folder_of(self, key: str) -> Path:
        return self.folder / "entries" / key

    def _lock(self, key: str, purpose: str) -> Path:
        return self.folder / "locks" / f"{key}.{purpose}"


def in_words(num_bytes: int) -> str:
    """Such as "51.3 MiB"."""
    size = float(num_bytes)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
