"""What a configuration file may say, and what is said of one that is wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipeline.config import Configuration, load_configuration, resolved_yaml
from trainer.errors import ConfigurationError
from trainer.features import RESERVED


def told(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(path, overrides)
    return str(caught.value)


Edit = Callable[[str, str], Path]


@pytest.fixture
def edited(config_path: Path) -> Edit:
    """The configuration with one piece of its text replaced."""

    def edit(old: str, new: str) -> Path:
        text = config_path.read_text(encoding="utf-8")
        assert old in text
        config_path.write_text(text.replace(old, new), encoding="utf-8")
        return config_path

    return edit


def test_relative_paths_start_at_the_folder_of_the_file(config_path: Path, tmp_path: Path) -> None:
    configuration = load_configuration(config_path, ["model.weights=w.h5", f"model.weights_sha256={'a' * 64}"])
    assert configuration.data.images == str(tmp_path / "photo graphs ü")
    assert configuration.infrastructure.root == tmp_path / "runs" / "shapes"
    assert configuration.model.weights == str(tmp_path / "w.h5")
    warm = load_configuration(config_path, ["model.warm_start=serving/7"]).model
    assert warm.warm_start_path == tmp_path / "serving" / "7"
    assert load_configuration(config_path, ["model.warm_start=latest"]).model.warm_start_path is None


def test_relative_paths_start_at_the_folder_of_the_file_also_through_a_link(config_path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "config.yaml"
    link.symlink_to(config_path)
    assert load_configuration(link).data.images == str(tmp_path / "elsewhere" / "photo graphs ü")


def test_parents_in_paths_are_resolved(config_path: Path, tmp_path: Path) -> None:
    configuration = load_configuration(config_path, ["infrastructure.root=a/../../b"])
    assert configuration.infrastructure.root == tmp_path.parent / "b"


def test_home_in_paths_is_resolved(config_path: Path) -> None:
    configuration = load_configuration(config_path, ["infrastructure.root=~/runs"])
    assert configuration.infrastructure.root == Path.home() / "runs"


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("model.phases.1.unfreeze=all", "data.schema=s.pbtxt"),
        ("data.split_patterns={train: train/*/*, eval: val/*/*, test: test/*/*}",),
        ("data.manifest={file: a.csv, split: set, features: [camera, site]}", "data.splits.train=80"),
        ("data.records={shape: [28, 28, 1], label_names: ['no', 'on']}", "data.stratify=true"),
        ("data.pattern='{split}/{label}/**/*'", "data.images=s3://bucket/photos-{SPAN}.zip", "data.span=7"),
        ("data.images='{YYYY}/{MM}/{DD}'", "data.span='2026-11-22'", "data.labels=[a, b]"),
        ("data.images=span-{SPAN}", "data.span={last: 3}", "data.background_rgb=[0, 0, 0]"),
        ("data.images=span-{SPAN}", "data.span=latest"),
    ],
)
def test_resolved_yaml_reads_back_the_same(config_path: Path, tmp_path: Path, overrides: tuple[str, ...]) -> None:
    configuration = load_configuration(config_path, overrides)
    again = tmp_path / "elsewhere.yaml"
    again.write_text(resolved_yaml(configuration), encoding="utf-8")
    assert load_configuration(again) == configuration


def test_resolved_yaml_shows_every_default(config_path: Path) -> None:
    resolved = yaml.safe_load(resolved_yaml(load_configuration(config_path)))
    assert resolved["data"]["splits"] == {"train": 70, "eval": 15, "test": 15}
    assert resolved["infrastructure"]["beam"]["direct_running_mode"] == "in_memory"


def test_configuration_cannot_be_changed(config_path: Path) -> None:
    configuration = load_configuration(config_path)
    with pytest.raises(ValueError, match="frozen"):
        configuration.name = "other"


def test_whole_numbers_are_taken_for_fractions(config_path: Path) -> None:
    assert load_configuration(config_path, ["gate.floors.accuracy=1"]).gate.floors["accuracy"] == 1.0


def test_unknown_key_is_told_with_the_nearest_name(config_path: Path) -> None:
    message = told(config_path, "model.phases.1.epoch=3")
    assert "model.phases.1.epoch: no such key; nearest: epochs; allowed here: allow_higher_learning_rate," in message


def test_unknown_key_at_the_top_is_told_with_the_nearest_name(config_path: Path) -> None:
    assert "modle: no such key; nearest: model; allowed here: data, gate," in told(config_path, "modle.seed=1")


def test_unknown_key_unlike_any_is_told_with_what_is_allowed(config_path: Path) -> None:
    assert "gate.zzz: no such key; allowed here: alpha, baseline_margins, budgets," in told(config_path, "gate.zzz=1")


def test_key_in_wrong_case_is_told_with_the_right_one(config_path: Path) -> None:
    assert "model.Seed: no such key; nearest: seed;" in told(config_path, "model.Seed=1")


def test_missing_key_is_told(edited: Edit) -> None:
    assert "model.weights: this key is required" in told(edited("  weights: none\n", ""))


def test_missing_section_is_told(edited: Edit) -> None:
    assert "gate: this key is required" in told(edited("gate: {floors: {accuracy: 0.9}}", ""))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.seed=abc", "model.seed: 'abc' must be a whole number"),
        ("model.seed=1.5", "model.seed: 1.5 must be a whole number"),
        ("model.seed=true", "model.seed: true must be a whole number"),
        ("model.seed=-1", "model.seed: -1 must be at least 0"),
        ("gate.floors.accuracy='0.9'", "gate.floors.accuracy: '0.9' must be a number"),
        ("gate.alpha=0.5", "gate.alpha: 0.5 must be less than 0.5"),
        ("gate.min_gain=.nan", "gate.min_gain: nan must be a finite number"),
        ("gate.top_k=1", "gate.top_k: 1 must be at least 2"),
        ("model.phases.0.learning_rate=0", "model.phases.0.learning_rate: 0 must be greater than 0"),
        ("model.dropout_rate=1", "model.dropout_rate: 1 must be less than 1"),
        ("model.phases=3", "model.phases: 3 must be a list"),
        ("model.phases=[]", "model.phases: [] must have at least 1 entries"),
        ("model=3", "model: 3 must be a mapping of keys to values"),
        ("name=Shapes", "name: 'Shapes' must match ^[a-z][a-z0-9-]*$"),
        ("name=7", "name: 7 must be text"),
        ("name=", "name: null must be text"),
        ("data.images=7", "data.images: 7 must be text"),
        ("data.images=''", "data.images: '' must name a path; it is empty"),
        ("data.images=http://b/p", "data.images: 'http://b/p' must be a local path, or a place in a bucket: s3://"),
        ("data.images=s3:///p", "data.images: 's3:///p' must be a local path, or a place in a bucket: s3://BUCKET"),
        ("data.images=a/{YYYY}", "data: images has {YYYY}; a span is named by {SPAN} alone, or by {YYYY}, {MM} and"),
        ("data.images=a/{SPAN}/{DD}", "data: images has {SPAN} and {DD}; a span is named by {SPAN} alone"),
        ("data.span=latest", "data: span has no effect: images has no {SPAN}"),
        ("data.span=1.5", "data.span: 1.5 must be 'latest' or a whole number or text or a mapping of keys to values"),
        ("data.span={last: 0}", "data.span.last: 0 must be at least 1"),
        ("data.pattern='{class}/*'", "data.pattern: '{class}/*' has the unknown placeholder {class}; allowed: {label}"),
        ("data.pattern=a**/*", "data.pattern: 'a**/*' has '**' beside other characters"),
        ("data.manifest.file=a.xlsx", "data.manifest.file: 'a.xlsx' must match"),
        ("data.manifest.labl=a", "data.manifest.labl: no such key; nearest: label; allowed here: "),
        ("data.records.label=null", "data.records: label is null, so the pattern must have {label}"),
        ("data.records.shape=[2, 2, 2]", "data.records.shape: [2, 2, 2] must be height, width and channels"),
        ("infrastructure.root=gs://b/r", "infrastructure.root: 'gs://b/r' must be a local path"),
        ("model.weights=gs://b/w.h5", "model: weights 'gs://b/w.h5' must be a local path"),
        ("model.warm_start=gs://b/7", "model: warm_start 'gs://b/7' must be a local path"),
        ("infrastructure.num_cpu_replicas=0", "infrastructure.num_cpu_replicas: 0 must be at least 1"),
        ("infrastructure.gpus=[0, 0]", "infrastructure: gpus is [0, 0]; name each once"),
        ("model.compute.num_micro_batches=7", "cannot be split into 7 equal parts"),
        ("infrastructure.beam.runner=Flink", "infrastructure.beam.runner: 'Flink' must be 'direct', 'flink', 'sp"),
        ("data.splits.train=0", "data.splits.train: 0 must be at least 1"),
        ("data.splits.dev=1", "data.splits.dev: no such key; nearest: "),
        ("data.pattern='*'", "data.pattern: '*' must be class folder / file, such as '*/*'"),
        ("data.pattern=/a/*", "data.pattern: '/a/*' must stay inside data.images"),
        ("data.pattern=../*/*", "data.pattern: '../*/*' must stay inside data.images"),
        (
            "model.phases.1.unfreeze=some",
            "unfreeze: 'some' must be 'none', 'batch_norm', 'all' or 'auto' or a mapping of keys to values",
        ),
        (
            "model.phases.1.unfreeze=3",
            "unfreeze: 3 must be 'none', 'batch_norm', 'all' or 'auto' or a mapping of keys to values",
        ),
        (
            "model.phases.1.unfreeze.laier=x",
            "unfreeze.laier: no such key; nearest: layer; allowed here: block, cut_blocks,",
        ),
        ("model.phases.1.unfreeze.last_layers=0", "unfreeze.last_layers: 0 must be at least 1"),
    ],
)
def test_wrong_value_is_told_with_what_is_allowed(config_path: Path, override: str, message: str) -> None:
    assert message in told(config_path, override)


def test_several_problems_are_told_at_once(config_path: Path) -> None:
    message = told(config_path, "model.seed=abc", "gate.top_k=1", "data.patern='*/*'", "nonsense")
    assert "4 problems in the configuration" in message
    for part in (
        "model.seed: 'abc'",
        "gate.top_k: 1",
        "data.patern: no such key; nearest: pattern",
        "--set nonsense",
    ):
        assert part in message
    assert len(message.splitlines()) == 5


def test_error_in_an_entry_of_a_list_is_told_once(config_path: Path) -> None:
    assert "a problem in the configuration" in told(config_path, "model.phases.0.epochs=0")


def test_boundary_with_two_fields_is_told(config_path: Path) -> None:
    message = told(config_path, "model.phases.1.unfreeze={layer: block4_conv, fraction: 0.5}")
    kinds = "layer, block, last_layers, last_blocks, fraction, parameter_fraction, pattern"
    assert f"model.phases.1.unfreeze: give exactly one of {kinds}; found layer and fraction" in message
    assert "a problem in the configuration" in message


def test_later_rate_not_below_the_first_is_told(config_path: Path) -> None:
    message = told(config_path, "model.phases.1.learning_rate=1e-3")
    assert "phase 'fine_tune' unfreezes the backbone at learning_rate 0.001, which is not below the 0.001" in message


def test_later_rate_not_below_the_first_is_taken_if_stated(config_path: Path) -> None:
    configuration = load_configuration(
        config_path, ["model.phases.1.learning_rate=1", "model.phases.1.allow_higher_learning_rate=true"]
    )
    assert configuration.model.phases[1].learning_rate == 1.0


def test_weights_file_without_sha256_is_told(config_path: Path, tmp_path: Path) -> None:
    message = told(config_path, "model.weights=w.h5")
    assert f"weights is the file {str(tmp_path / 'w.h5')!r}, so weights_sha256 must be given" in message


def test_split_patterns_together_with_splits_are_told(config_path: Path) -> None:
    patterns = "data.split_patterns={train: train/*/*, eval: val/*/*, test: test/*/*}"
    message = told(config_path, patterns, "data.splits.train=80", "data.pattern='*/*'")
    assert "data: pattern and split_patterns are different ways to say where the photographs are; give one" in message


def test_equal_split_patterns_are_told(config_path: Path) -> None:
    message = told(config_path, "data.split_patterns={train: a/*/*, eval: b/*/*, test: a/*/*}")
    assert "data.split_patterns: two splits have the same pattern" in message


def test_split_without_pattern_is_told(config_path: Path) -> None:
    message = told(config_path, "data.split_patterns={train: a/*/*, eval: b/*/*}")
    assert "data.split_patterns.test: this key is required" in message


def test_split_patterns_together_with_weights_are_told(config_path: Path) -> None:
    patterns = "data.split_patterns={train: train/*/*, eval: val/*/*, test: test/*/*}"
    message = told(config_path, patterns, "data.splits.train=80")
    assert "data: split_patterns gives every photograph its split, so splits and stratify have no effect" in message


@pytest.mark.parametrize(
    ("images", "span", "message"),
    [
        (
            "a/{SPAN}",
            "'2026-11-22'",
            "span is '2026-11-22'; with {SPAN} it must be latest, a whole number, or {last: n}",
        ),
        ("a/{SPAN}", "-3", "span is -3; with {SPAN} it must be latest, a whole number"),
        ("{YYYY}-{MM}-{DD}", "7", "span is 7; it must be latest, a date such as 2026-11-22"),
        ("{YYYY}-{MM}-{DD}", "2026-02-30", "span is '2026-02-30'; it must be latest, a date such as 2026-11-22"),
    ],
)
def test_span_that_cannot_be_is_told(config_path: Path, images: str, span: str, message: str) -> None:
    assert message in told(config_path, f"data.images='{images}'", f"data.span={span}")


@pytest.mark.parametrize("images", ["s3://bucket/photos", "gs://bucket/photos.zip"])
def test_buckets_are_kept_as_they_are(config_path: Path, images: str) -> None:
    assert load_configuration(config_path, [f"data.images={images}/"]).data.images == images


def test_outputs_beside_spans_are_well_and_among_them_are_told(config_path: Path) -> None:
    load_configuration(config_path, ["data.images=runs/span-{SPAN}"])
    message = told(config_path, "data.images=runs/span-{SPAN}", "infrastructure.root=runs/span-7/out")
    assert "lies inside data.images" in message


@pytest.mark.parametrize("key", ["root", "push_destination"])
def test_outputs_among_the_photographs_are_told(config_path: Path, key: str) -> None:
    message = told(config_path, f"infrastructure.{key}=photo graphs ü/out")
    assert f"infrastructure.{key}, " in message
    assert "lies inside data.images" in message


def test_root_that_is_the_push_destination_is_told(config_path: Path) -> None:
    assert "root and push_destination are the same folder" in told(config_path, "infrastructure.root=serving/shapes")


def test_workers_without_effect_are_told(config_path: Path) -> None:
    message = told(config_path, "infrastructure.beam.direct_num_workers=4")
    assert "direct_num_workers is 4, but direct_running_mode is in_memory" in message


def test_long_values_are_shortened_in_messages(config_path: Path) -> None:
    assert len(told(config_path, f"model.seed={'x' * 5000}")) < 400


def test_missing_file_is_told_with_those_beside_it(tmp_path: Path, config_path: Path) -> None:
    message = told(tmp_path / "confg.yaml")
    assert message == f"there is no file {tmp_path / 'confg.yaml'}; the folder holds config.yaml"


def test_missing_folder_is_told(tmp_path: Path) -> None:
    assert f"there is no folder {tmp_path / 'nix'} either" in told(tmp_path / "nix" / "config.yaml")


def test_folder_in_place_of_a_file_is_told(tmp_path: Path) -> None:
    assert told(tmp_path) == f"cannot read {tmp_path}: Is a directory"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; `thaw config --schema` prints what it may hold"),
        (b"# nothing\n", "is empty"),
        (b"- a\n- b\n", "must hold a mapping of keys to values; it holds a list"),
        (b"name: a\nname: b\n", "line 2, column 1: the key 'name' is given twice"),
        (b"data:\n  images: a\n  images: b\n", "line 3, column 3: the key 'images' is given twice"),
        (b"name: a: b\n", "line 1, column 8: mapping values are not allowed here"),
        (b"name: [a\n", "as YAML: line 2, column 1: "),
        (b"1: a\n", "line 1, column 1: keys must be plain names"),
        (b"a: 1\n---\nb: 2\n", "expected a single document"),
        (b"a: !!python/object/apply:os.system [true]\n", "could not determine a constructor for the tag"),
        (b"name: \xff\n", "is not UTF-8 text (byte 6)"),
        (b"name: \x00\n", "as YAML: unacceptable character"),
        (b"name: " + b"[" * 100_000, "is nested too deeply"),
        (b"name: " + b"9" * 10_000, "the number is too long"),
        (b"#" * 1_000_001, "is larger than 1000000 bytes"),
    ],
)
def test_file_that_is_no_yaml_mapping_is_told(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    assert message in told(path)


def test_aliases_that_unfold_to_billions_are_refused_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 60))]
    path = tmp_path / "config.yaml"
    path.write_text("\n".join(lines))
    assert "no such key" in told(path)


def test_configuration_is_also_built_without_a_file(config_path: Path) -> None:
    data = yaml.safe_load(resolved_yaml(load_configuration(config_path)))
    assert Configuration.model_validate(data) == load_configuration(config_path)


@pytest.mark.parametrize(
    "source", ["manifest={file: a.csv, features: [camera, %s]}", "records={features: [camera, %s]}"]
)
@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_further_feature_may_not_have_a_name_of_ours(config_path: Path, source: str, name: str) -> None:
    text = told(config_path, f"data.{source % name}")
    assert f"data.{source.split('=')[0]}.features" in text
    assert f"{name!r}, which every example has from thaw itself; rename it" in " ".join(text.split())
    assert load_configuration(config_path, [f"data.{source % 'site'}"])
