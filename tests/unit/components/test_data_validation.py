"""An anomaly in labels or metadata stops the run and is told in words; what is sound passes."""

from pathlib import Path
from typing import Any

import pytest

from trainer.errors import ConfigurationError, ThawError

pytestmark = pytest.mark.slow

Row = dict[str, Any]


def rows(labels: tuple[str, ...] = ("cats", "dogs"), **changes: Any) -> list[Row]:
    sizes = [(100 + number, 80 + number, 5000 + 17 * number) for number in range(20)]
    return [
        {
            "label": labels[number % len(labels)],
            "format": "jpeg",
            "width_px": width,
            "height_px": height,
            "num_bytes": size,
        }
        | changes
        for number, (width, height, size) in enumerate(sizes)
    ]


class Validation:
    """Statistics as StatisticsGen writes them, in a folder; then our SchemaGen and ExampleValidator on them."""

    def __init__(self, folder: Path, splits: dict[str, list[Row]]) -> None:
        import pandas as pd
        import tensorflow_data_validation as tfdv
        from tfx.types import artifact_utils, standard_artifacts
        from tfx.utils import io_utils

        self.folder = folder
        self.statistics = standard_artifacts.ExampleStatistics()
        self.statistics.uri = str(folder / "statistics")
        self.statistics.split_names = artifact_utils.encode_split_names(list(splits))
        for split, examples in splits.items():
            path = folder / "statistics" / f"Split-{split}" / "FeatureStats.pb"
            path.parent.mkdir(parents=True)
            proto = tfdv.generate_statistics_from_dataframe(pd.DataFrame(examples))
            io_utils.write_bytes_file(str(path), proto.SerializeToString())

    def infer(self) -> Any:
        from tfx.types import standard_artifacts

        from components.data_validation.schema import Executor

        schema = standard_artifacts.Schema()
        schema.uri = str(self.folder / "schema")
        properties = {"infer_feature_shape": 1, "exclude_splits": '["eval", "test"]'}
        Executor().Do({"statistics": [self.statistics]}, {"schema": [schema]}, properties)
        return schema

    def validate(self, schema: Any) -> None:
        from tfx.types import standard_artifacts

        from components.data_validation.validator import Executor

        anomalies = standard_artifacts.ExampleAnomalies()
        anomalies.uri = str(self.folder / "anomalies")
        inputs = {"statistics": [self.statistics], "schema": [schema]}
        Executor().Do(inputs, {"anomalies": [anomalies]}, {"exclude_splits": "[]"})


def test_splits_of_the_same_kind_pass(tmp_path: Path) -> None:
    validation = Validation(tmp_path, {"train": rows(), "eval": rows()[:6], "test": rows()[3:9]})
    validation.validate(validation.infer())


def test_the_inferred_schema_holds_image_and_label_as_bytes(tmp_path: Path) -> None:
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tfx.utils import io_utils

    schema = Validation(tmp_path, {"train": rows()}).infer()
    features = {
        feature.name: feature.type
        for feature in io_utils.SchemaReader().read(str(Path(schema.uri) / "schema.pbtxt")).feature
    }
    assert features["image"] == features["label"] == features["path"] == schema_pb2.BYTES
    assert features["width_px"] == schema_pb2.INT


def test_a_label_that_the_schema_does_not_know_stops_the_run_in_words(tmp_path: Path) -> None:
    from components.data_validation.importing import ImportSchema

    reviewed = Validation(tmp_path / "earlier", {"train": rows()}).infer()
    assert ImportSchema(str(Path(reviewed.uri) / "schema.pbtxt")).spec.exec_properties["schema_sha256"]
    later = Validation(tmp_path / "later", {"train": rows(), "eval": rows(("cats", "dogs", "birds"))})
    with pytest.raises(ThawError, match=r"the data does not fit the schema:\n  eval / label: .*birds") as raised:
        later.validate(reviewed)
    assert "train" not in str(raised.value)


def test_a_feature_that_is_missing_stops_the_run_by_its_name(tmp_path: Path) -> None:
    schema = Validation(tmp_path / "earlier", {"train": rows()}).infer()
    lacking = [{name: value for name, value in row.items() if name != "height_px"} for row in rows()]
    with pytest.raises(ThawError, match="train / height_px"):
        Validation(tmp_path / "later", {"train": lacking}).validate(schema)


def test_a_lone_png_in_eval_is_no_anomaly(tmp_path: Path) -> None:
    lone = {**rows()[0], "format": "png"}
    validation = Validation(tmp_path, {"train": rows(), "eval": [*rows()[:6], lone], "test": rows()})
    validation.validate(validation.infer())


def test_a_schema_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    from components.data_validation.importing import ImportSchema

    with pytest.raises(ConfigurationError, match=r"data.schema: cannot read '.*missing.pbtxt': No such file"):
        ImportSchema(str(tmp_path / "missing.pbtxt"))
