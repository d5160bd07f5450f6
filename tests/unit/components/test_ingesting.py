"""Through real Beam: the same files give the same records, byte for byte, and no file is lost."""

import hashlib
import io
import json
import os
import random
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from trainer import features
from trainer.errors import ThawError

pytestmark = pytest.mark.slow

SPLITS = {"train": 60, "eval": 20, "test": 20}
BEAM = ["--runner=components.in_process_runner.InProcessRunner", "--direct_running_mode=in_memory"]


class Ingestion:
    """One run of the executor, with its artifacts in a folder of its own."""

    def __init__(self, images: Path, folder: Path, beam: list[str], **changes: Any) -> None:
        from tfx.dsl.components.base import base_beam_executor
        from tfx.types import standard_artifacts

        from components.artifacts import Quarantine
        from components.image_example_gen.executor import Executor
        from components.image_example_gen.settings import IngestionSettings

        self.examples, self.quarantine = standard_artifacts.Examples(), Quarantine()
        self.examples.uri, self.quarantine.uri = str(folder / "examples"), str(folder / "quarantine")
        (folder / "quarantine").mkdir(parents=True)
        defaults: dict[str, Any] = {"max_refused_fraction": 0.2, "max_image_pixels": 10**6}
        if "split_patterns" not in changes:
            defaults["splits"] = SPLITS
        settings = IngestionSettings.model_validate({"images": str(images), **defaults, **changes})
        self._properties = {"settings": settings.to_json()}
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
        return _digests(Path(self.examples.uri))

    def quarantine_files(self) -> dict[str, str]:
        """The same of the account: lists, summary and report."""
        return _digests(Path(self.quarantine.uri))

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

    def duplicates(self) -> list[dict[str, Any]]:
        lines = (Path(self.quarantine.uri) / "duplicates.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def split_of(self) -> dict[str, str]:
        """Split of each path."""
        return {record["path"].decode(): split for split, records in self.records().items() for record in records}


def _digests(root: Path) -> dict[str, str]:
    found = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def _features(record: bytes) -> dict[str, Any]:
    import tensorflow as tf

    features = tf.train.Example.FromString(record).features.feature
    return {name: getattr(value, value.WhichOneof("kind")).value[0] for name, value in features.items()}


@pytest.fixture
def ingest(tmp_path: Path) -> Callable[..., Ingestion]:
    def run(images: Path, name: str = "one", beam: list[str] = BEAM, **changes: Any) -> Ingestion:
        return Ingestion(images, tmp_path / "artifacts" / name, beam, **changes).run()

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
        assert record.keys() == {features.IMAGE, features.LABEL, *features.FACTS}


def test_record_files_are_the_same_twice_with_several_workers_and_in_any_order_of_the_file_system(
    ingest: Ingest, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.image_example_gen import staging

    monkeypatch.setattr(staging, "NUM_ENTRIES_PER_CHUNK", 7)
    images = make_folder()
    first = ingest(images, "first")
    original = os.scandir

    @contextmanager
    def shuffled(path: Any) -> Iterator[list[os.DirEntry[Any]]]:
        with original(path) as entries:
            found = list(entries)
        random.Random(1).shuffle(found)
        yield iter(found)

    monkeypatch.setattr(os, "scandir", shuffled)
    monkeypatch.setattr(os, "cpu_count", lambda: 13)
    threads = [
        "--runner=components.in_process_runner.InProcessRunner",
        "--direct_running_mode=multi_threading",
        "--direct_num_workers=3",
    ]
    second = ingest(images, "second", beam=threads)
    assert first.record_files() == second.record_files()
    assert {name.split("/")[0] for name in first.record_files()} == {"Split-train", "Split-eval", "Split-test"}
    assert len(first.record_files()) > 9
    assert len(first.quarantine_files()) == 5
    assert first.quarantine_files() == second.quarantine_files()


def test_a_second_attempt_in_the_same_place_keeps_nothing_of_the_first(
    ingest: Ingest, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.image_example_gen import staging

    monkeypatch.setattr(staging, "NUM_ENTRIES_PER_CHUNK", 7)
    images = make_folder(num_files=90)
    (images / "two" / "text.png").write_text("a text")
    attempts = ingest(images)
    (Path(attempts.examples.uri) / "Split-train.images-00000-of-00014.partial").write_bytes(b"half")
    num_before = len(attempts.record_files())
    for path in [*sorted(images.glob("*/*.png"))[::3], images / "two" / "text.png"]:
        path.unlink(missing_ok=True)
    attempts.run()
    fresh = ingest(images, "fresh")
    assert attempts.record_files() == fresh.record_files()
    assert len(fresh.record_files()) < num_before
    assert (attempts.refused(), attempts.summary()) == (fresh.refused(), fresh.summary())


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
    Image.new("L", (3, 3)).save(moving, "GIF", save_all=True, append_images=[Image.new("L", (3, 3), 255)])
    flawed = {
        "two/zero bytes.png": (b"", "empty file"),
        "two/text.png": (b"a text", "not an image"),
        "two/half ü.png": (whole[: len(whole) // 2], "truncated"),
        "two/moving.gif": (moving.getvalue(), "animated"),
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
    counts = [found.quarantine.get_int_custom_property(name) for name in ("num_refused", "num_accepted")]
    assert counts == [4, 60]


def test_a_file_that_goes_away_after_the_listing_is_refused_as_missing(
    ingest: Ingest, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.image_example_gen import staging

    images = make_folder()
    gone = next((images / "two").iterdir())
    original = staging.chunks_of

    def chunks_of(entries: Any) -> Any:
        gone.unlink()
        return original(entries)

    monkeypatch.setattr(staging, "chunks_of", chunks_of)
    assert ingest(images).refused() == {f"two/{gone.name}": "missing"}


def test_a_class_that_is_not_among_the_fixed_ones_is_refused(ingest: Ingest, make_folder: MakeFolder) -> None:
    images = make_folder(num_files=90)
    labels = sorted(path.name for path in images.iterdir())
    found = ingest(images, labels=labels[1:], max_refused_fraction=1.0)
    assert set(found.refused().values()) == {"unknown label"}
    assert all(path.startswith(f"{labels[0]}/") for path in found.refused())
    assert labels[0] not in found.summary()["num_by_split"]["train"]


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
    ingestion = ingest(images, split_patterns=patterns)
    found = ingestion.records()
    assert {split: len(records) for split, records in found.items()} == {"train": 60, "eval": 30, "test": 30}
    assert all(record["path"].startswith(b"val/") for record in found["eval"])
    # The same 30 files are in all three: given splits are kept, but it is said.
    assert ingestion.summary()["num_duplicate_pairs"]["across splits"] >= 60
    assert "lie in different splits" in ingestion.summary()["warnings"][0]


def photographs_in(folder: Path, num_photographs: int = 40) -> Path:
    """Distinct crops of sample photographs, in two classes."""
    from sklearn.datasets import load_sample_images

    for number in range(num_photographs):
        source = load_sample_images().images[number % 2]
        top, left = 60 * (number // 2 % 5), 90 * (number // 10)
        path = folder / ("temple", "flower")[number % 2] / f"{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(source[top : top + 60, left : left + 90]).resize((180, 120)).save(path, quality=95)
    return folder


def test_photographs_that_look_alike_stay_in_one_split_or_are_reported(ingest: Ingest, tmp_path: Path) -> None:
    images = photographs_in(tmp_path / "photographs")
    for path in sorted(images.glob("*/*.jpg"))[::2]:
        with Image.open(path) as image:
            image.resize((150, 100)).save(path.with_name(f"{path.stem} small.png"))
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path.with_name(f"{path.stem} flip.jpg"), quality=80)
    reported = ingest(images, "reported", near_duplicates="report")
    num_pairs = reported.summary()["num_duplicate_pairs"]
    assert num_pairs["across splits"] > 5
    together = ingest(images, "together")
    assert together.summary()["num_duplicate_pairs"]["across splits"] == 0
    assert num_pairs["near"] + num_pairs["mirrored"] == 40
    assert num_pairs["mirrored"] >= 15
    assert all(item["first"][:9] == item["second"][:9] for item in reported.duplicates())
    splits = together.split_of()
    for path in sorted(images.glob("*/??.jpg"))[::2]:
        name = path.relative_to(images).as_posix().removesuffix(".jpg")
        assert splits[f"{name}.jpg"] == splits[f"{name} small.png"] == splits[f"{name} flip.jpg"]
    assert ingest(images, "ignored", near_duplicates="ignore").duplicates() == []


def test_groups_stay_together_and_columns_become_features(ingest: Ingest, make_folder: MakeFolder) -> None:
    images = make_folder(num_files=90)
    lines = ["path,label,patient,weight,camera,age"]
    for number, path in enumerate(sorted(images.glob("*/*.png"))):
        lines.append(
            f"{path.relative_to(images)},{path.parent.name},patient {number % 30},{number / 10},K{number % 3},{number}"
        )
    (images / "table.csv").write_text("\n".join(lines), "utf-8")
    columns = {"file": "table.csv", "group": "patient", "weight": "weight", "features": ["camera", "age"]}
    records = ingest(images, manifest=columns).records()
    splits: dict[bytes, set[str]] = {}
    for split, examples in records.items():
        for example in examples:
            splits.setdefault(example["group"], set()).add(split)
            assert example["camera"] == f"K{example['age'] % 3}".encode()
            assert example["weight"] == pytest.approx(example["age"] / 10)
    assert len(splits) == 30
    assert all(len(found) == 1 for found in splits.values())


def test_stratified_splits_have_their_exact_part_of_every_class(ingest: Ingest, make_folder: MakeFolder) -> None:
    images = make_folder(num_files=150)
    table = ingest(images, stratify=True, near_duplicates="ignore").summary()["num_by_split"]
    for label in table["train"]:
        total = sum(table[split][label] for split in SPLITS)
        for split, weight in SPLITS.items():
            assert abs(table[split][label] - total * weight / 100) <= 1


def test_what_pillow_cannot_show_is_still_taken_in_and_reported(
    ingest: Ingest, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = make_folder()
    for path in images.glob("two/*.png"):
        content = path.read_bytes()
        wrong_checksum = struct.pack(">L", 4) + b"tEXta\0bc" + bytes(4)
        path.write_bytes(content[:33] + wrong_checksum + content[33:])
    for path in images.glob("number one/*.png"):
        with Image.open(path) as image:
            image.resize((300, 300)).save(path.with_suffix(".jpg"), exif=b"Exif\0\0no TIFF at all")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20_000)  # as a photograph of 200 megapixels would meet it
    found = ingest(images)
    assert found.refused() == {}
    page = (Path(found.quarantine.uri) / "report.html").read_text("utf-8")
    assert "two/" in page
    assert page.count("data:image/png") >= 2 * 8  # samples of the other classes
