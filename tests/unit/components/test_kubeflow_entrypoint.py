"""Between Kubeflow's JSON and TFX's executors."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.kubeflow_entrypoint.exchange import Invocation, executor_output, read_invocation
from components.kubeflow_entrypoint.places import LOCAL_ROOT, Places, local_path
from trainer.errors import ConfigurationError, ThawError

ROOT = "minio://mlpipeline/v2/artifacts/digits"
RUN = f"{ROOT}/run-1"


def schema(title: str) -> dict[str, str]:
    return {"instanceSchema": f"title: {title}\ntype: object\n"}


def invocation(scheme: str = "minio://", **more: Any) -> Invocation:
    """Of a Gate, as KFP writes it: inputs without types, an output more, whole numbers as floats."""
    run = RUN.replace("minio://", scheme)
    blessing = {"blessed": 1.0, "current_model": f"{run}/FineTuner/a/model", "rate": 0.5, "nothing": None}
    given = {
        "inputs": {
            "parameterValues": {"gate_settings": "{}", "num": 3.0, **more},
            "artifacts": {
                "examples": {
                    "artifacts": [
                        {
                            "name": "17",
                            "uri": f"{run}/ImageExampleGen/a/examples",
                            "type": {"instanceSchema": ""},
                            "metadata": {"split_names": '["train"]', "span": 3.0, "spans": "2026"},
                        }
                    ]
                },
                "evaluation_blessing": {
                    "artifacts": [
                        {
                            "name": "18",
                            "uri": f"{run}/Evaluator/a/b",
                            "type": {"instanceSchema": ""},
                            "metadata": blessing,
                        }
                    ]
                },
            },
        },
        "outputs": {
            "artifacts": {
                "verdict": {
                    "artifacts": [
                        {"name": "verdict", "uri": f"{run}/Gate/b/verdict", "type": schema("thaw.GateVerdict")}
                    ]
                },
                "executor-logs": {
                    "artifacts": [{"name": "l", "uri": f"{run}/Gate/b/l", "type": {"schemaTitle": "system.Artifact"}}]
                },
            },
            "outputFile": "/tmp/output_metadata.json",
        },
    }
    spec = {
        "artifacts": {
            "examples": {"artifactType": schema("tfx.Examples")},
            "evaluation_blessing": {"artifactType": schema("tfx.ModelBlessing")},
        },
        "parameters": {"gate_settings": {"parameterType": "STRING"}, "num": {"parameterType": "NUMBER_INTEGER"}},
    }
    return read_invocation(json.dumps(given), json.dumps(spec))


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LOCAL_ROOT, raising=False)


@pytest.mark.parametrize(
    ("uri", "path"), [("minio://b/k", "/minio/b/k"), ("s3://b/k", "/s3/b/k"), ("gs://b/k", "/gcs/b/k")]
)
def test_places_in_the_store_are_where_the_launcher_puts_them(uri: str, path: str) -> None:
    assert local_path(uri) == path
    assert Places(uri).to_store(f"{path}/x") == f"{uri}/x"
    assert Places(uri).to_local(f"{uri}/x") == f"{path}/x"


def test_only_what_lies_in_the_pipelines_folder_is_moved() -> None:
    places = Places.around(f"{RUN}/Gate/b/verdict")
    assert places.uri == ROOT
    assert places.to_local("minio://mlpipeline/photographs/1.jpg") == "minio://mlpipeline/photographs/1.jpg"
    assert places.to_local(f"{ROOT}-other/x") == f"{ROOT}-other/x"
    assert places.to_store(3) == 3
    with pytest.raises(ThawError, match="in no store"):
        local_path("https://example.org/x")


@pytest.mark.parametrize(("scheme", "folder"), [("minio://", "/minio"), ("s3://", "/s3"), ("gs://", "/gcs")])
def test_inputs_have_the_compiled_types_local_paths_and_whole_numbers(scheme: str, folder: str) -> None:
    found = invocation(scheme)
    (examples,), (blessing,) = found.inputs["examples"], found.inputs["evaluation_blessing"]
    assert examples.type_name == "Examples"
    assert examples.uri == f"{folder}/mlpipeline/v2/artifacts/digits/run-1/ImageExampleGen/a/examples"
    assert (examples.split_names, examples.span) == ('["train"]', 3)
    assert examples.get_string_custom_property("spans") == "2026"
    assert blessing.get_int_custom_property("blessed") == 1
    assert blessing.get_float_custom_property("rate") == 0.5
    current = blessing.get_string_custom_property("current_model")
    assert current == f"{folder}/mlpipeline/v2/artifacts/digits/run-1/FineTuner/a/model"
    assert found.properties["num"] == 3
    assert found.task_uri == f"{scheme}mlpipeline/v2/artifacts/digits/run-1/Gate"


def test_kubeflows_own_output_is_left_to_kubeflow() -> None:
    assert set(invocation().outputs) == {"verdict"}


def test_outputs_name_places_in_the_store_and_hold_no_nulls() -> None:
    found = invocation()
    (verdict,) = found.outputs["verdict"]
    verdict.set_int_custom_property("approved", 1)
    verdict.set_string_custom_property("model", found.inputs["examples"][0].uri)
    verdict.set_int_custom_property("current_model_id", found.inputs["evaluation_blessing"][0].id)
    verdict.set_int_custom_property("baseline_model_id", 99)
    verdict.mlmd_artifact.custom_properties["unset"].SetInParent()
    verdict.set_float_custom_property("bound", float("inf"))
    (said,) = json.loads(executor_output(found))["artifacts"]["verdict"]["artifacts"]
    assert said["uri"] == f"{RUN}/Gate/b/verdict"
    assert said["metadata"] == {
        "approved": 1,
        "model": f"{RUN}/ImageExampleGen/a/examples",
        "current_model_id": "18",
        "bound": "inf",
    }


def test_a_part_replaces_a_key_of_its_json_property_unless_it_is_empty() -> None:
    parts = {"settings__images": "/data/new", "settings__span": '{"last": 7}', "settings__pattern": ""}
    found = invocation(settings='{"images": "/data", "seed": 1}', **parts).properties
    assert json.loads(found["settings"]) == {"images": "/data/new", "seed": 1, "span": {"last": 7}}
    assert not [name for name in found if "__" in name]


def test_a_fraction_for_a_whole_number_and_an_unknown_type_are_told() -> None:
    with pytest.raises(ConfigurationError, match=r"3\.5"):
        invocation(num=3.5)
    with pytest.raises(ThawError, match=r"no artifact type 'thaw\.Nothing'"):
        read_invocation(
            json.dumps(
                {
                    "outputs": {
                        "artifacts": {
                            "x": {"artifacts": [{"name": "x", "uri": f"{RUN}/A/b/x", "type": schema("thaw.Nothing")}]}
                        },
                        "outputFile": "/x",
                    }
                }
            ),
            "{}",
        )


def test_the_local_root_can_be_elsewhere_where_the_real_one_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(LOCAL_ROOT, str(tmp_path))
    assert local_path("gs://b/k") == f"{tmp_path}/gcs/b/k"
