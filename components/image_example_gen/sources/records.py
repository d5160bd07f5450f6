"""TFRecord files of `tf.Example`: which of them there are, and where their records lie."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from components.image_example_gen.refusals import Reason, Refusal
from components.image_example_gen.settings import RecordSettings
from components.image_example_gen.sources.access import PIECE_BYTES, RandomAccess, Spool, open_stream, refusing
from components.image_example_gen.sources.entry import Entry, Listing, Photograph, Rejected
from components.image_example_gen.sources.folders import label_in, matching_files
from components.image_example_gen.sources.listing import listing_of
from components.image_example_gen.sources.patterns import PathPattern
from components.image_example_gen.sources.stores import Store, StoredFile
from components.image_example_gen.sources.tfrecords import (
    NOT_A_HEADER,
    DamagedRecord,
    RecordPlace,
    read_record,
    record_places,
)


@dataclass(frozen=True)
class RecordSource:
    """The records of the files that a pattern matches; each has the path "file#number", counted from 0.

    A file that ends in .gz is decompressed once per process, as nothing in it can be found otherwise.

    Attributes:
        store: where the files lie.
        settings: which files, and which feature means what.
        labels: the only classes there may be; None for any. Labels that only reading tells are not looked at here.
    """

    store: Store
    settings: RecordSettings
    labels: tuple[str, ...] | None = None
    spool: Spool = field(default_factory=Spool, compare=False, repr=False)

    def list_entries(self) -> Listing:
        found = matching_files(self.store, {None: PathPattern(self.settings.pattern)})
        entries: list[Entry] = []
        rejected: list[Rejected] = []
        for file, split, said in found.files:
            label = label_in(file.path, said) if "label" in said else None
            for told in self._records(file):
                if isinstance(told, Rejected):
                    rejected.append(told)
                else:
                    place = (told[1].offset, told[1].length, file.path, *file.place)
                    path = f"{file.path}#{told[0]}"
                    entries.append(Entry(path, file.version, label, split, said.get("group"), place=place))
        return listing_of(entries, rejected, found.ignored, labels=self.labels)

    def read(self, entry: Entry, max_bytes: int) -> Photograph:
        from components.image_example_gen.sources.examples import photograph_of

        offset, length, path, *place = entry.place
        record = RecordPlace(int(offset), int(length))
        if record.length > max_bytes:
            raise Refusal(Reason.TOO_MANY_BYTES, f"{length} bytes are more than the {max_bytes} allowed")
        try:
            with refusing():
                data = read_record(self._open(StoredFile(str(path), entry.version, tuple(place))), record)
        except DamagedRecord as error:
            raise Refusal(Reason.UNREADABLE, str(error)) from None
        return photograph_of(data, entry, self.settings)

    def _records(self, file: StoredFile) -> Iterator[tuple[int, RecordPlace] | Rejected]:
        number = 0
        try:
            if file.problem:
                raise DamagedRecord(file.problem)
            for number, place in enumerate(record_places(self._open(file)), 1):
                yield number - 1, place
        except DamagedRecord as error:
            yield Rejected(f"{file.path}#{number}", "", Reason.UNREADABLE, str(error))
        except OSError as error:
            yield Rejected(f"{file.path}#{number}", "", Reason.UNREADABLE, error.strerror or str(error))

    def _open(self, file: StoredFile) -> RandomAccess:
        access = self.store.open(file.path, file.place)
        if not file.path.lower().endswith(".gz"):
            return access
        return self.spool.section(file.path, file.version, _gunzipped(access))


def _gunzipped(access: RandomAccess) -> Iterator[bytes]:
    """What a gzip file holds; where it is damaged, what comes before, and then a header that is none.

    So whoever looks for records finds those that are whole, and is told of the rest.
    """
    with open_stream(access) as stream, gzip.open(stream, "rb") as plain:
        try:
            while piece := plain.read1(PIECE_BYTES):
                yield piece
        except (EOFError, zlib.error, gzip.BadGzipFile):
            yield NOT_A_HEADER
