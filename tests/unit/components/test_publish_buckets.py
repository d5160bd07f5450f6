"""Publishing to a bucket, through servers that speak S3 and GCS: whole versions, each model and number once."""

import contextlib
import functools
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import pytest
from test_publish import write_model

from components.gate.production import find_production, fingerprint
from components.gate.report import model_card
from components.pusher import buckets, probe
from components.pusher.publish import publish
from trainer.errors import ThawError

pytestmark = pytest.mark.slow


@pytest.fixture(params=["s3", "gs"])
def destination(request: pytest.FixtureRequest) -> str:
    """A place in an empty bucket."""
    request.getfixturevalue({"s3": "s3_server", "gs": "gcs_server"}[request.param])
    url = f"{request.param}://bucket-{abs(hash(request.node.name))}"
    store(url).mkdir(url)
    return f"{url}/serving/digits"


@pytest.fixture
def model(tmp_path: Path) -> str:
    return write_model(tmp_path / "model")


def store(url: str) -> Any:
    return fsspec.filesystem(url.partition("://")[0], use_listings_cache=False)


def names(url: str) -> list[str]:
    return sorted(name.removeprefix(url.partition("://")[2] + "/") for name in store(url).find(url))


@contextlib.contextmanager
def copying(url: str, before: Callable[[str], None]) -> Iterator[None]:
    """Calls something with the target before each copy inside the store."""
    original = store(url).cp_file

    def copy(source: str, target: str, **options: Any) -> None:
        before(target)
        original(source, target, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store(url), "cp_file", copy)  # fsspec keeps one for all who ask
        yield


def test_versions_count_up_and_hold_every_file(model: str, destination: str, tmp_path: Path) -> None:
    first = publish(model, destination)
    assert (first.uri, first.version, first.is_new) == (f"{destination}/1", "1", True)
    files = sorted(path.relative_to(model).as_posix() for path in Path(model).rglob("*") if path.is_file())
    assert names(first.uri) == files
    for name in files:
        assert store(destination).cat_file(f"{first.uri}/{name}") == Path(model, name).read_bytes()
    second = publish(write_model(tmp_path / "other", "another graph"), destination)
    assert second.uri == f"{destination}/2"
    assert {name.split("/")[0] for name in names(destination)} == {"1", "2", ".thaw-versions"}


def test_the_same_model_is_not_published_twice_in_a_row(model: str, destination: str, tmp_path: Path) -> None:
    publish(model, destination)
    (Path(model) / model_card.FILE_NAME).write_text("of another run")
    again = publish(model, destination)
    assert (again.version, again.is_new) == ("1", False)
    publish(write_model(tmp_path / "other", "another graph"), destination)
    assert publish(model, destination).version == "3"  # but again after another one


def test_the_graph_comes_last(model: str, destination: str) -> None:
    """A server that looks at any moment sees a version without its graph, or all of it, the manifest included."""
    copied: list[str] = []

    def look(target: str) -> None:
        copied.append(target.partition("/1/")[2])
        assert "assets.extra/inference-service.yaml" in names(f"{destination}/1")

    with copying(destination, look):
        publish(model, destination, lambda number: {"assets.extra/inference-service.yaml": f"of {number}"})
    assert len(copied) == 4 and copied[-1] == "saved_model.pb"
    assert store(destination).cat_file(f"{destination}/1/assets.extra/inference-service.yaml") == b"of 1"


def test_a_push_that_is_cut_short_leaves_no_model_and_its_number_to_nobody(model: str, destination: str) -> None:
    def fail_at_the_graph(target: str) -> None:
        if target.endswith("saved_model.pb"):
            raise OSError("the connection broke")

    said = rf"cannot push to '{destination}': the connection broke; check the bucket"
    with copying(destination, fail_at_the_graph), pytest.raises(ThawError, match=said):
        publish(model, destination)
    assert not [name for name in names(destination) if name.startswith(".thaw-partial")]
    assert find_production(destination, write_of_nothing(model)) is None
    found = publish(model, destination)
    assert (found.version, found.is_new) == ("2", True)


def write_of_nothing(model: str) -> str:
    """A candidate that differs from the model."""
    return write_model(Path(model).parent / "candidate", "candidate")


def test_publishers_at_once_get_numbers_of_their_own(destination: str, tmp_path: Path) -> None:
    models = [write_model(tmp_path / f"model {number}", f"graph {number}") for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda model: publish(model, destination), models))
    assert sorted(publication.version for publication in found) == ["1", "2", "3", "4"]
    for number, publication in enumerate(found):
        assert store(destination).cat_file(f"{publication.uri}/saved_model.pb") == f"graph {number}".encode()


def test_what_a_killed_publisher_left_is_removed_after_a_day(model: str, destination: str) -> None:
    for begun in ("1000-a", "99999999999-b"):
        store(destination).pipe_file(f"{destination}/.thaw-partial-{begun}/saved_model.pb", b"half")
    publish(model, destination)
    assert [name for name in names(destination) if "partial" in name] == [".thaw-partial-99999999999-b/saved_model.pb"]


def test_production_is_the_newest_whole_version_that_is_not_the_candidate(
    model: str, destination: str, tmp_path: Path
) -> None:
    candidate = write_of_nothing(model)
    assert find_production(destination, candidate) is None
    publish(model, destination)
    publish(candidate, destination)
    store(destination).pipe_file(f"{destination}/9/variables/variables.index", b"half")
    broken = publish(write_model(tmp_path / "broken", "broken"), destination)
    store(destination).rm_file(f"{broken.uri}/saved_model.pb")
    found = find_production(destination, candidate)
    assert found is not None
    assert (found.uri, found.sha256) == (f"{destination}/1", fingerprint(model))
    with found.here() as folder:
        assert folder.name == "1" and fingerprint(folder) == found.sha256
    assert not folder.exists()


def test_a_version_of_another_program_is_production_too(model: str, destination: str) -> None:
    for path in Path(model).rglob("*"):
        if path.is_file():
            store(destination).put_file(str(path), f"{destination}/7/{path.relative_to(model)}")
    found = find_production(destination, write_of_nothing(model))
    assert found is not None and (found.uri, found.sha256) == (f"{destination}/7", fingerprint(model))
    assert publish(model, destination).version == "8"


def test_the_digests_of_a_version_are_kept_beside_it(model: str, destination: str) -> None:
    publish(model, destination, lambda number: {"assets.extra/inference-service.yaml": "manifest"})
    kept = json.loads(store(destination).cat_file(f"{destination}/.thaw-versions/1.json"))
    assert set(kept["files"]) == set(names(f"{destination}/1"))
    digest = hashlib.sha256(b"manifest").hexdigest()
    assert kept["files"]["assets.extra/inference-service.yaml"] == digest
    again = publish(model, destination, lambda number: {"assets.extra/inference-service.yaml": "of another run"})
    assert (again.version, again.is_new) == ("1", False)


def test_a_bucket_that_is_not_there_is_refused_by_name(model: str, destination: str) -> None:
    elsewhere = f"{destination.partition('://')[0]}://no-such-bucket/x"
    with pytest.raises(ThawError, match=f"cannot push to '{elsewhere}'"):
        publish(model, elsewhere)


def test_only_buckets_and_paths_are_destinations() -> None:
    assert buckets.is_in_bucket("s3://bucket/x") and buckets.is_in_bucket("gs://bucket")
    assert not buckets.is_in_bucket("/data/s3") and not buckets.is_in_bucket("ftp://x")


def test_a_bucket_can_be_tried_and_is_left_as_it_was(destination: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main([destination]) == 0
    assert names(destination.rpartition("/")[0]) == []
    assert probe.main([f"{destination.partition('://')[0]}://no-such-bucket/x"]) == 1
    assert "cannot push to" in capsys.readouterr().err


def test_a_store_that_overwrites_where_a_new_object_is_asked_for_does_not_pass(
    destination: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As if it did not know the precondition: both publishers would believe that the number is theirs."""
    original = store(destination).pipe_file
    both = threading.Barrier(2)

    def overwrite(path: str, content: bytes, mode: str = "overwrite") -> None:
        if mode == "create":
            both.wait(timeout=60)
        original(path, content)

    with pytest.MonkeyPatch.context() as patch:
        # Publishers in threads of their own have instances of their own.
        patch.setattr(fsspec, "filesystem", functools.partial(_patched, fsspec.filesystem, overwrite))
        assert probe.main([destination]) == 1
    assert "two that pushed at once got the numbers" in capsys.readouterr().err


def _patched(original: Callable[..., Any], overwrite: Callable[..., None], *arguments: Any, **options: Any) -> Any:
    system = original(*arguments, **options)
    system.pipe_file = overwrite
    return system


def test_only_a_bucket_can_be_tried(capsys: pytest.CaptureFixture[str]) -> None:
    assert (probe.main(["/serving"]), probe.main([])) == (1, 2)
    assert "is in no bucket" in capsys.readouterr().err
