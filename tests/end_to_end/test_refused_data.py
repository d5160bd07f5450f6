"""What a run says when the photographs cannot be trained on; through the real runner, drivers and executors."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from examples.digits.make_images import write_images
from pipeline.config import Configuration, load_configuration
from pipeline.local import StepEvent, run_local
from tests.end_to_end.conftest import EXAMPLE
from trainer.errors import ThawError

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def all_photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("all")
    write_images(folder)
    return folder


@pytest.fixture
def photographs(all_photographs: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(all_photographs, tmp_path / "photographs"))


@pytest.fixture
def configure(photographs: Path, tmp_path: Path) -> Callable[..., Configuration]:
    def make(*settings: str) -> Configuration:
        places = (
            f"data.images={photographs}",
            f"infrastructure.root={tmp_path / 'root'}",
            f"infrastructure.push_destination={tmp_path / 'served'}",
        )
        configuration = load_configuration(EXAMPLE / "config.yaml", [*places, *settings])
        configuration.infrastructure.root.mkdir(exist_ok=True)
        return configuration

    return make


def failure(configuration: Configuration) -> tuple[str, str]:
    """The component in which the run fails, and what it says."""
    events: list[StepEvent] = []
    with pytest.raises(ThawError) as caught:
        run_local(configuration, Path("run"), events.append)
    assert events[-1].state == "failed"
    return events[-1].name, str(caught.value)


def test_empty_folder_is_named(configure: Callable[..., Configuration], photographs: Path) -> None:
    shutil.rmtree(photographs)
    photographs.mkdir()
    step, message = failure(configure())
    assert step == "ImageExampleGen"
    assert "the folder is empty" in message
    assert str(photographs) in message


def test_images_beside_the_class_folders_get_a_hint(configure: Callable[..., Configuration], photographs: Path) -> None:
    image = next(path for path in photographs.glob("*/*") if path.stat().st_size)
    image.rename(photographs.parent / image.name)
    shutil.rmtree(photographs)
    photographs.mkdir()
    (photographs.parent / image.name).rename(photographs / image.name)
    assert "folder per class" in failure(configure())[1]


def test_single_class_is_refused(configure: Callable[..., Configuration], photographs: Path) -> None:
    for folder in sorted(photographs.iterdir())[1:]:
        shutil.rmtree(folder)
    message = failure(configure("data.max_refused_fraction=0.1"))[1]
    assert "at least two classes" in message
    assert sorted(photographs.iterdir())[0].name in message


def test_class_with_one_image_is_missing_from_splits(
    configure: Callable[..., Configuration], photographs: Path
) -> None:
    (photographs / "lonely").mkdir()
    image = next(path for path in (photographs / "six").iterdir() if path.stat().st_size > 500)
    shutil.copy(image, photographs / "lonely" / "only.png")
    message = failure(configure())[1]
    assert message.count("'lonely' in ") == 2, "one image is in one of three splits"
    assert "data.splits" in message


def test_too_many_refused_files_are_listed_with_reasons(
    configure: Callable[..., Configuration], photographs: Path
) -> None:
    for number in range(12):
        (photographs / "six" / f"broken {number}.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photograph")
    step, message = failure(configure())
    assert step == "ImageExampleGen"
    assert "16 of 912 files were refused" in message
    assert "data.max_refused_fraction" in message
    assert "six/broken 0.jpg" in message


def test_class_unknown_to_an_imported_schema_stops_the_run_in_words(
    configure: Callable[..., Configuration], tmp_path: Path
) -> None:
    schema = tmp_path / "schema.pbtxt"
    schema.write_text(
        """
        feature { name: "image" type: BYTES }
        feature { name: "path" type: BYTES }
        feature { name: "content_sha256" type: BYTES }
        feature { name: "format" type: BYTES }
        feature { name: "width_px" type: INT }
        feature { name: "height_px" type: INT }
        feature { name: "num_bytes" type: INT }
        feature { name: "label" type: BYTES domain: "label" }
        string_domain { name: "label" value: "five" value: "six" value: "seven" value: "eight" }
        """
    )
    step, message = failure(configure(f"data.schema={schema}"))
    assert step == "ExampleValidator"
    assert "does not fit the schema" in message
    assert "label" in message and "nine" in message
