"""Through real Beam: the same files give the same records, byte for byte, and no file is lost."""

import hashlib
import io
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from trainer.errors import ThawError

pytestmark = pytest.mark.slow

SHARES = (("train", 60), ("eval", 20), ("test", 20))
BEAM = ["--runner=DirectRunner", "--direct_running_mode=in_memory"]


class Ingestion:
    """One run of the executor, with its artifacts in a folder of its own."""

    def __init__(self, images: Path, folder: Path, patterns: dict[str, str], beam: list[str], **changes: Any) -> None:
        from tfx.dsl.components.base import base_beam_executor
        from tfx.proto import example_gen_pb2
        from tfx.types import standard_artifacts
        from tfx.utils import proto_utils

        from components.artifacts import Quarantine
        from components.image_example_gen.executor import Executor

        self.examples, self.quarantine = standard_artifacts.Examples(), Quarantine()
        self.examples.uri, self.quarantine.uri = str(folder / "examples"), str(folder / "quarantine")
        (folder / "quarantine").mkdir(parents=True)
        inputs = [example_gen_pb2.Input.Split(name=name, pattern=pattern) for name, pattern in patterns.items()]
        shares = [] if len(patterns) > 1 else SHARES
        outputs = [example_gen_pb2.SplitConfig.Split(name=name, hash_buckets=count) for name, count in shares]
        split_config = example_gen_pb2.SplitConfig(splits=outputs)
        self._properties = {
            "input_base": str(images),
            "input_config": proto_utils.proto_to_json(example_gen_pb2.Input(splits=inputs)),
            "output_config": proto_utils.proto_to_json(example_gen_pb2.Output(split_config=split_config)),
            "max_refused_fraction": 0.2,
            "max_image_pixels": 10**6,
            **changes,
        }
        context = base_beam_executor.BaseBeamExecutor.Context(
            beam_pipeline_args=beam, tmp_dir=str(folder / "temporary"), unique_id="1"
        )
        self._executor = Executor(context)

    def run(self) -> "Ingestion":
        outputs = {"examples": [self.examples], "quarantine": [self.quarantine]}
        self._executor.Do({}, outputs, self._properties)
        return self

    def summary(self) -> dict[str, Any]:
        return json.loads((Path(self.quarantine.uri) / "summary.json").read_text("utf-8"))

    def refused(self) -> dict[str, str]:
        lines = (Path(self.quarantine.uri) / "refused.jsonl").read_text("utf-8").splitlines()
        return {item["path"]: item["reason"] for item in map(json.loads, lines)}

    def record_files(self) -> dict[str, str]:
        """Digest of every record file by its path; nothing else may lie there."""
        root = Path(self.examples.uri)
        found = sorted(path for path in root.rglob("*") if path.is_file())
        return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}

    def records(self) -> dict[str, list[dict[str, Any]]]:
        """The features of every example by split."""
        import tensorflow as tf

        return {
            split.name.removeprefix("Split-"): [
                _features(record)
                for path in sorted(split.iterdir())
                for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
            ]
            for split in sorted(Path(self.examples.uri).iterdir())
        }

    def split_of(self) -> dict[str, str]:
        """Split of each path."""
        return {record["path"].decode(): split for split, records in self.records().items() for record in records}


def _features(record: bytes) -> dict[str, Any]:
    import tensorflow as tf

    features = tf.train.Example.FromString(record).features.feature
    return {name: (value.bytes_list.value or value.int64_list.value)[0] for name, value in features.items()}


@pytest.fixture
def ingest(tmp_path: Path) -> Callable[..., Ingestion]:
    def run(
        images: Path, name: str = "one", patterns: dict[str, str] | None = None, beam: list[str] = BEAM, **changes: Any
    ) -> Ingestion:
        return Ingestion(images, tmp_path / "artifacts" / name, patterns or {"all": "*/*"}, beam, **changes).run()

    return run


Ingest = Callable[..., Ingestion]
MakeFolder = Callable[..., Path]


def test_every_file_becomes_one_example_with_its_bytes_untouched(ingest: Ingest, make_folder: MakeFolder) -> None:
    images = make_folder()
    records = [record for split in ingest(images).records().values() for record in split]
    assert len(records) == 60
    for record in records:
        content = (images / record["path"].decode()).read_bytes()
        assert record["image"] == content
        assert record["label"].decode() == record["path"].decode().split("/")[0]
        assert record["content_sha256"].decode() == hashlib.sha256(content).hexdigest()
        assert (record["format"], record["width_px"], record["height_px"]) == (b"png", 20, 20)
        assert record["num_bytes"] == len(content)


def test_record_files_are_the_same_twice_with_several_workers_and_in_any_order_of_the_file_system(
    ingest: Ingest, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.image_example_gen import writing

    monkeypatch.setattr(writing, "NUM_FILES_PER_CHUNK", 7)
    images = make_folder()
    first = ingest(images, "first")
    original = Path.glob

    def shuffled(self: Path, pattern: str, **options: Any) -> list[Path]:
        found = list(original(self, pattern, **options))
        random.Random(1).shuffle(found)
        return found

    monkeypatch.setattr(Path, "glob", shuffled)
    threads = ["--runner=DirectRunner", "--direct_running_mode=multi_threading", "--direct_num_workers=3"]
    second = ingest(images, "second", beam=threads)
    assert first.record_files() == second.record_files()
    assert {name.split("/")[0] for name in first.record_files()} == {"Split-train", "Split-eval", "Split-test"}
    assert len(first.record_files()) > 9
    assert first.summary() == second.summary()


def test_adding_files_moves_none_and_duplicates_stay_together(ingest: Ingest, make_folder: MakeFolder) -> None:
    images = make_folder(num_files=60)
    before = ingest(images, "before").split_of()
    assert Counter(before.values()).keys() == {"train", "eval", "test"}
    make_folder(num_files=90)
    for number, path in enumerate(sorted((images / "two").iterdir())):
        (images / "zéro" / f"copy {number}.png").write_bytes(path.read_bytes())
    after = ingest(images, "after").split_of()
    assert {path: after[path] for path in before} == before
    for number, path in enumerate(sorted((images / "two").iterdir())):
        assert after[f"zéro/copy {number}.png"] == after[f"two/{path.name}"]


def test_refused_files_are_counted_and_listed_and_the_others_are_kept(ingest: Ingest, make_folder: MakeFolder) -> None:
    images = make_folder()
    whole = next((images / "two").iterdir()).read_bytes()
    moving = io.BytesIO()
    Image.new("P", (3, 3)).save(moving, "GIF")
    flawed = {
        "two/zero bytes.png": (b"", "empty file"),
        "two/text.png": (b"a text", "not an image"),
        "two/half ü.png": (whole[: len(whole) // 2], "cannot be decoded"),
        "two/moving.gif": (moving.getvalue(), "unsupported format"),
    }
    for path, (content, _) in flawed.items():
        (images / path).write_bytes(content)
    (images / "two" / ".hidden").write_text("x")
    found = ingest(images)
    assert found.refused() == {path: reason for path, (_, reason) in flawed.items()}
    summary = found.summary()
    assert (summary["num_files"], summary["num_accepted"], summary["num_refused"]) == (64, 60, 4)
    assert summary["num_refused_by_reason"] == dict.fromkeys((reason for _, reason in flawed.values()), 1)
    assert summary["ignored_hidden_files"] == ["two/.hidden"]
    assert sum(sum(split.values()) for split in summary["num_by_split"].values()) == 60
    assert (found.quarantine.num_refused, found.quarantine.num_accepted) == (4, 60)


def test_a_file_that_goes_away_after_the_listing_is_refused_as_unreadable(
    ingest: Ingest, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = make_folder()
    gone = next((images / "two").iterdir())
    original = Path.read_bytes

    def read_bytes(self: Path) -> bytes:
        gone.unlink(missing_ok=True)
        return original(self)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert ingest(images).refused() == {f"two/{gone.name}": "unreadable"}


def test_too_many_refused_files_fail_the_run_but_leave_the_account(
    ingest: Ingest, make_folder: MakeFolder, tmp_path: Path
) -> None:
    images = make_folder()
    (images / "two" / "text.png").write_text("a text")
    with pytest.raises(ThawError, match=r"1 of 61 files were refused.*\n  two/text.png: not an image"):
        ingest(images, max_refused_fraction=0.01)
    summary = json.loads((tmp_path / "artifacts/one/quarantine/summary.json").read_text("utf-8"))
    assert summary["num_refused"] == 1


def test_split_patterns_keep_each_file_where_it_is(ingest: Ingest, make_folder: MakeFolder) -> None:
    for split in ("train", "val", "test"):
        make_folder(f"arranged/{split}", num_files=30)
    images = make_folder("arranged/train", num_files=60).parent
    patterns = {"train": "train/*/*", "eval": "val/*/*", "test": "test/*/*"}
    found = ingest(images, patterns=patterns).records()
    assert {split: len(records) for split, records in found.items()} == {"train": 60, "eval": 30, "test": 30}
    assert all(record["path"].startswith(b"val/") for record in found["eval"])
