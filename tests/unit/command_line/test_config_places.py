"""Whether the files that a configuration names are there."""

import shutil
from pathlib import Path

import pytest

from pipeline.config import load_configuration
from pipeline.config.places import check_places, some_images
from trainer.errors import ConfigurationError


def told(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        check_places(load_configuration(path, overrides))
    return str(caught.value)


def test_complete_places_pass(config_path: Path) -> None:
    check_places(load_configuration(config_path))


def test_missing_photographs_are_told(config_path: Path) -> None:
    message = told(config_path, "data.images=nix")
    assert f"data.images: {str(config_path.parent / 'nix')!r} does not exist; it must hold a folder" in message


def test_missing_photographs_of_the_example_are_told_with_what_makes_them(tmp_path: Path, config_path: Path) -> None:
    example = tmp_path / "examples" / "digits"
    example.mkdir(parents=True)
    shutil.copy(config_path, example)
    assert "`python -m examples.digits.make_images` writes" in told(example / "config.yaml")


def test_photographs_that_are_a_file_are_told(config_path: Path) -> None:
    assert "is not a folder, nor an archive (.zip, .tar, .tar.gz, …); it must" in told(
        config_path, "data.images=config.yaml"
    )


def test_pattern_that_matches_nothing_is_told(config_path: Path) -> None:
    assert "matches data.pattern '*/*.jpg'" in told(config_path, "data.pattern=*/*.jpg")


def test_hidden_files_are_no_photographs(config_path: Path) -> None:
    folder = config_path.parent / "hidden" / "circles"
    folder.mkdir(parents=True)
    (folder / ".directory").touch()
    assert "no file in" in told(config_path, "data.images=hidden")


def test_missing_manifest_is_told(config_path: Path) -> None:
    assert "there is no manifest 'nix.csv' in " in told(config_path, "data.manifest.file=nix.csv")
    assert "there is no manifest '/nix.csv'; set data.manifest.file" in told(config_path, "data.manifest.file=/nix.csv")


def test_manifest_that_is_there_passes(config_path: Path) -> None:
    (config_path.parent / "photo graphs ü" / "all.csv").write_text("path,label\ncircles/a b.png,x\ncircles/no.png,x\n")
    configuration = load_configuration(config_path, ["data.manifest.file=all.csv"])
    check_places(configuration)
    assert [path.name for path in some_images(configuration.data, 5)] == ["a b.png"]


def test_missing_records_are_told(config_path: Path) -> None:
    message = told(config_path, "data.records={pattern: '*/*.tfrecord'}")
    assert "matches data.records.pattern '*/*.tfrecord'; it must" in message


def test_missing_photographs_of_one_split_are_told(config_path: Path) -> None:
    patterns = "data.split_patterns={train: circles/*, eval: val/*/*, test: test/*/*}"
    assert "matches data.split_patterns.eval 'val/*/*'" in told(config_path, patterns)


def test_archives_are_looked_into(config_path: Path) -> None:
    folder = config_path.parent
    for form in ("zip", "tar", "gztar"):
        shutil.make_archive(str(folder / "photos"), form, folder / "photo graphs ü")
    for name in ("photos.zip", "photos.tar", "photos.tar.gz"):
        check_places(load_configuration(config_path, [f"data.images={name}"]))
        (folder / name).write_bytes((folder / name).read_bytes()[100:300])
        assert "photos." in told(config_path, f"data.images={name}")
        assert "make or fetch it again" in told(config_path, f"data.images={name}")


def test_missing_span_is_told_with_the_nearest(config_path: Path) -> None:
    (config_path.parent / "photo graphs ü").rename(config_path.parent / "span-12")
    check_places(load_configuration(config_path, ["data.images=span-{SPAN}"]))
    message = told(config_path, "data.images=span-{SPAN}", "data.span=9")
    assert "data.images: there is no span 9 in " in message
    assert "; nearest: 12; set data.span" in message
    assert "matches 'spam-{SPAN}'; set data.images to where spans arrive" in told(
        config_path, "data.images=spam-{SPAN}"
    )


def test_all_that_is_missing_is_told_at_once(config_path: Path) -> None:
    settings = (
        "model.weights=w.h5",
        f"model.weights_sha256={'a' * 64}",
        "data.schema=s.pbtxt",
        "data.images=nix",
        "model.warm_start=serving/7",
    )
    message = told(config_path, *settings)
    missing = (
        "model.weights: there is no file",
        "data.schema: there is no file",
        "model.warm_start: there is no folder",
    )
    for key in ("data.images: ", *missing):
        assert key in message


@pytest.mark.parametrize("key", ["root", "push_destination"])
def test_file_in_the_way_of_an_output_is_told(config_path: Path, key: str) -> None:
    message = told(config_path, f"infrastructure.{key}=config.yaml/below")
    assert f"infrastructure.{key}: {str(config_path / 'below')!r} cannot be made; " in message


def test_some_images_does_not_list_them_all(config_path: Path) -> None:
    data = load_configuration(config_path).data
    assert [path.name for path in some_images(data, 5)] == ["0 flawed.png", "a b.png"]
    assert len(some_images(data, 1)) == 1


def test_the_cache_lies_in_the_root_unless_it_is_said_where(config_path: Path) -> None:
    infrastructure = load_configuration(config_path).infrastructure
    assert infrastructure.cache_folder == infrastructure.root / "cache"
    elsewhere = load_configuration(config_path, ["infrastructure.cache.folder=Zwischenspeicher ü"]).infrastructure
    assert elsewhere.cache_folder == config_path.parent / "Zwischenspeicher ü"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("infrastructure.cache.folder=s3://bucket/cache", "must be a local path"),
        ("infrastructure.cache.folder=runs/shapes", "which is root or push_destination"),
        ("infrastructure.cache.folder=photo graphs ü/cache", "infrastructure.cache.folder, "),
        ("infrastructure.cache.max_gib=0", "infrastructure.cache.max_gib: 0 must be"),
        ("model.cache=always", "model.cache: 'always' must be"),
    ],
)
def test_a_cache_that_cannot_lie_there_is_told(config_path: Path, override: str, message: str) -> None:
    assert message in told(config_path, override)
