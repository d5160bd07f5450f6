"""Statistics of examples are those of their table, without the image; refused photographs are counted in them."""

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def write_examples(folder: Path, rows: list[dict[str, Any]], num_files: int = 2) -> None:
    import tensorflow as tf

    def feature(value: Any) -> Any:
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        if isinstance(value, float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    folder.mkdir(parents=True)
    for number in range(num_files):
        with tf.io.TFRecordWriter(str(folder / f"images-{number}")) as writer:
            for row in rows[number::num_files]:
                features = {name: feature(value) for name, value in {**row, "image": b"\xff" * 1000}.items()}
                writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def rows() -> list[dict[str, Any]]:
    return [
        {
            "label": b"cats" if number % 3 else b"d\xc3\xb6gs",
            "width_px": 100 + number,
            "weight": number / 7,
            "camera": f"K{number % 4}".encode(),
            "path": str(number).encode(),
            "content_sha256": b"0" * 64,
            "group": b"",
        }
        for number in range(150)
    ]


def run(folder: Path, num_refused: dict[str, dict[str, int]]) -> Any:
    from tensorflow_metadata.proto.v0 import statistics_pb2
    from tfx.types import artifact_utils, standard_artifacts

    from components.artifacts import Quarantine
    from components.data_validation.statistics import Executor

    examples, quarantine, statistics = (
        standard_artifacts.Examples(),
        Quarantine(),
        standard_artifacts.ExampleStatistics(),
    )
    examples.uri, quarantine.uri, statistics.uri = (
        str(folder / name) for name in ("examples", "quarantine", "statistics")
    )
    examples.split_names = artifact_utils.encode_split_names(["train", "test"])
    (folder / "quarantine").mkdir()
    summary = {"num_refused_by_reason_and_label": num_refused}
    (folder / "quarantine" / "summary.json").write_text(json.dumps(summary))
    Executor().Do({"examples": [examples], "quarantine": [quarantine]}, {"statistics": [statistics]}, {})
    assert artifact_utils.decode_split_names(statistics.split_names) == ["train", "test"]
    content = (folder / "statistics" / "Split-train" / "FeatureStats.pb").read_bytes()
    return statistics_pb2.DatasetFeatureStatisticsList.FromString(content).datasets[0]


def test_statistics_are_those_of_the_table_without_the_image_and_what_names_it(tmp_path: Path) -> None:
    import pandas as pd
    import tensorflow_data_validation as tfdv

    write_examples(tmp_path / "examples" / "Split-train", rows())
    write_examples(tmp_path / "examples" / "Split-test", rows()[:10])
    found = run(tmp_path, {})
    table = pd.DataFrame(rows())[["label", "width_px", "weight", "camera"]]
    (expected,) = tfdv.generate_statistics_from_dataframe(table).datasets
    assert found.num_examples == expected.num_examples == 150
    by_name = {item.path.step[0]: item for item in found.features}
    assert sorted(by_name) == ["camera", "label", "weight", "width_px"]
    for item in expected.features:
        other = by_name[item.path.step[0]]
        assert other.type == item.type
        if item.HasField("num_stats"):
            assert other.num_stats.mean == pytest.approx(item.num_stats.mean, rel=1e-6)
            assert other.num_stats.max == pytest.approx(item.num_stats.max, rel=1e-6)
        else:
            assert list(other.string_stats.top_values) == list(item.string_stats.top_values)


def test_refused_photographs_are_counted_by_reason_and_class_in_the_label(tmp_path: Path) -> None:
    write_examples(tmp_path / "examples" / "Split-train", rows())
    write_examples(tmp_path / "examples" / "Split-test", rows()[:10])
    found = run(tmp_path, {"truncated": {"cats": 3}, "no label": {"": 2}})
    (label,) = (item for item in found.features if item.path.step[0] == "label")
    assert {item.name: item.num for item in label.custom_stats} == {
        "refused / truncated / cats": 3,
        "refused / no label / (no class)": 2,
    }
