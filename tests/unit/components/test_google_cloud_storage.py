"""gs:// where thaw uses it, through a server of its protocol: photographs, checkpoints, verdicts, pushed versions.

Pushing is in test_publish_buckets.py.
"""

import shutil
import uuid
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import numpy as np
import pytest

from components.image_example_gen.settings import IngestionSettings
from components.image_example_gen.sources.looking import problem_at_a_glance
from components.image_example_gen.sources.opening import fingerprint, open_source
from trainer.checkpoint_store import CheckpointStore
from trainer.checkpoints import Checkpoint, CheckpointFolder
from trainer.errors import ThawError

pytestmark = pytest.mark.slow
FILES = {
    f"{label}/{name}": f"{label} {name}".encode() * 9 for label in ("cats", "dögs") for name in ("1.jpg", "a b+ü?%.jpg")
}


@pytest.fixture
def bucket(gcs_server: str) -> str:
    """URL of an empty bucket."""
    url = f"gs://bucket-{uuid.uuid4().hex}"
    store().mkdir(url)
    return url


def store() -> Any:
    return fsspec.filesystem("gs", use_listings_cache=False)


def put(url: str, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        store().pipe_file(f"{url}/{name}", content)


def test_photographs_are_listed_read_and_told_apart(bucket: str) -> None:
    put(f"{bucket}/photos", FILES)
    put(f"{bucket}/photos-old", {"cats/9.jpg": b"x"})
    source = open_source(IngestionSettings.model_validate({"images": f"{bucket}/photos"}))
    listing = source.list_entries()
    assert {entry.path: source.read(entry, 10_000).content for entry in listing.entries} == FILES
    before = fingerprint(listing)
    assert fingerprint(source.list_entries()) == before
    put(f"{bucket}/photos", {"cats/1.jpg": FILES["cats/1.jpg"][::-1]})
    assert fingerprint(source.list_entries()) != before


def test_an_archive_is_read_in_place_by_ranges(bucket: str, tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    made = Path(shutil.make_archive(str(tmp_path / "made"), "zip", tmp_path / "in"))
    put(bucket, {"all photos.zip": made.read_bytes()})
    source = open_source(IngestionSettings.model_validate({"images": f"{bucket}/all photos.zip"}))
    listing = source.list_entries()
    assert {entry.path: source.read(entry, 10_000).content for entry in listing.entries} == FILES


def test_what_is_not_there_is_told_in_words(bucket: str) -> None:
    with pytest.raises(ThawError, match=rf"there is nothing in '{bucket}/nix'; set data.images to what holds"):
        open_source(IngestionSettings.model_validate({"images": f"{bucket}/nix"})).list_entries()
    assert "there is nothing at" in problem_at_a_glance(IngestionSettings.model_validate({"images": f"{bucket}/nix"}))


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint({"step": step}, {"weights": np.full(1000, step, np.float32)})


def test_another_machine_goes_on_from_the_newest_whole_checkpoint_of_which_two_are_kept(
    bucket: str, tmp_path: Path
) -> None:
    uri = f"{bucket}/v2/artifacts/digits/run-1/FineTuner/.system/checkpoints/abc"
    first = CheckpointFolder(tmp_path / "first", "this", CheckpointStore(uri))
    for step in range(4):
        first.save(checkpoint(step))
    kept = {name.split("/")[-2] for name in store().find(uri) if not name.endswith(".writable")}
    assert kept == {"checkpoint-000003", "checkpoint-000004"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        latest = CheckpointFolder(tmp_path / "second", "this", CheckpointStore(uri)).latest()
        assert latest is not None and latest.state == {"step": 3}
        np.testing.assert_array_equal(latest.arrays["weights"], checkpoint(3).arrays["weights"])
        store().rm_file(f"{uri}/checkpoint-000004/sha256.json")  # as if its upload had been cut short
        third = CheckpointFolder(tmp_path / "third", "this", CheckpointStore(uri)).latest()
        assert third is not None and third.state == {"step": 2}


def test_a_bucket_that_is_not_there_is_told_before_training(gcs_server: str, tmp_path: Path) -> None:
    with pytest.raises(ThawError, match="checkpoints cannot be kept at gs://no-such-bucket/x"):
        CheckpointFolder(tmp_path, "this", CheckpointStore("gs://no-such-bucket/x"))


def test_the_verdict_of_a_run_is_found_and_of_two_attempts_the_last(bucket: str) -> None:
    from pipeline.kubeflow.outcome import outcome_of

    example = Path(__file__).parents[2].joinpath("verdict_example.json").read_text("utf-8")
    run = SimpleNamespace(run_id="run-1", pipeline_name="digits", pipeline_root=f"{bucket}/root", steps=())
    for attempt, approved in (("b", "true"), ("a", "false")):
        text = example.replace('"approved": true', f'"approved": {approved}')
        put(f"{bucket}/root/digits/run-1/Gate/{attempt}/verdict", {"verdict.json": text.encode()})
    found = outcome_of(None, run)  # type: ignore[arg-type]
    assert found.approved is False
    assert found.source == f"{bucket}/root/digits/run-1/Gate/a/verdict/verdict.json"
