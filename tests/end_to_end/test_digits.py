"""The embedded example from photographs to a pushed model, and the variant that the gate refuses."""

import html
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import EXAMPLE, REPOSITORY, Finished, Workplace, environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

INGESTION = ["ImageExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform"]


def states(record: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["state"] for step in record["steps"]}


def test_fine_tuned_digits_beat_the_frozen_baseline_and_are_pushed(
    good_run: Finished, good_record: dict[str, Any], workplace: Workplace
) -> None:
    assert good_record["status"] == "pushed"
    assert good_record["verdict"]["approved"]
    accuracy = good_record["verdict"]["metrics"][0]
    assert accuracy["name"] == "accuracy"
    assert accuracy["candidate"] > accuracy["baseline"] + 0.02
    assert workplace.versions() == ["1"]
    assert good_record["verdict"]["sentence"] in " ".join(good_run.output.split())


def test_flawed_photographs_are_refused_and_counted(good_run: Finished, good_record: dict[str, Any]) -> None:
    assert good_record["refused_images"] == {"truncated": 2, "empty file": 1, "not an image": 1}
    assert "4 photographs refused" in good_run.output
    quarantine = Path(good_record["uris"]["quarantine"])
    refused = [json.loads(line) for line in (quarantine / "refused.jsonl").read_text("utf-8").splitlines()]
    assert len(refused) == 4
    assert all(row["path"] and row["reason"] and row["detail"] for row in refused)


def test_screen_shows_steps_epochs_and_places_but_no_noise(good_run: Finished, good_record: dict[str, Any]) -> None:
    for step in states(good_record):
        assert step in good_run.output
    assert "eval accuracy" in good_run.output
    assert good_record["uris"]["pushed model"] in good_run.output
    for noise in ("WARNING", "oneDNN", "Traceback", "absl"):
        assert noise not in good_run.output + good_run.errors


def test_the_run_has_a_report_and_the_pushed_model_a_card(
    good_run: Finished, good_record: dict[str, Any], workplace: Workplace
) -> None:
    report = workplace.root / "runs" / good_record["run_id"] / "report.html"
    assert str(report) in good_run.output
    text = html.unescape(report.read_text("utf-8"))
    gate = good_record["code_sha256"]["Gate"]
    verdict_id = good_record["artifact_ids"]["verdict"]
    for words in (
        good_record["verdict"]["sentence"],
        gate,
        f"<span>{verdict_id}</span>",
        "From wrong to right",
        "fine_tune",
    ):
        assert words in text
    assert {"ImageExampleGen", "Transform", "FineTuner", "Evaluator"} <= good_record["code_sha256"].keys()
    assert (Path(good_record["uris"]["verdict"]) / "report.html").is_file()
    card = (Path(good_record["uris"]["pushed model"]) / "assets.extra" / "model_card.md").read_text("utf-8")
    assert "# Model card: digits" in card and "train 646, eval 130, test 120" in card and gate in card


def test_second_run_with_nothing_changed_reuses_everything(
    second_run: Finished, workplace: Workplace, good_record: dict[str, Any]
) -> None:
    assert second_run.exit_status == 0, second_run.output + second_run.errors
    record = workplace.records()[1]
    assert set(states(record).values()) == {"reused"}
    assert record["uris"] == good_record["uris"]
    assert workplace.versions() == ["1"]


def test_harmful_fine_tuning_is_refused_and_not_pushed(harmful_run: Finished, workplace: Workplace) -> None:
    assert harmful_run.exit_status == 3, harmful_run.output + harmful_run.errors
    record = workplace.records()[2]
    assert record["status"] == "refused"
    assert "pushed model" not in record["uris"]
    assert workplace.versions() == ["1"]
    accuracy = record["verdict"]["metrics"][0]
    assert accuracy["candidate"] < accuracy["baseline"]
    assert "refused" in record["verdict"]["sentence"]


def test_changed_phase_redoes_from_fine_tuner_on(harmful_run: Finished, workplace: Workplace) -> None:
    found = states(workplace.records()[2])
    assert [found[step] for step in INGESTION] == ["reused"] * len(INGESTION)
    assert found["FineTuner"] == found["Evaluator"] == "done"


def test_both_runs_share_the_frozen_phase_so_their_baselines_agree(
    good_record: dict[str, Any], harmful_run: Finished, workplace: Workplace
) -> None:
    harmful = workplace.records()[2]
    assert good_record["verdict"]["metrics"][0]["baseline"] == harmful["verdict"]["metrics"][0]["baseline"]


def test_frozen_layers_are_computed_in_the_first_run_and_read_by_the_next_which_has_the_same_baseline(
    good_run: Finished, good_record: dict[str, Any], harmful_run: Finished, workplace: Workplace
) -> None:
    """The harmful run unfreezes all in its second phase, so only the head can use the cache."""
    harmful = workplace.records()[2]
    uses = [[phase["cache"] for phase in training_of(record)["phases"]] for record in (good_record, harmful)]
    assert [[use["is_used"] for use in of_run] for of_run in uses] == [[True, True], [True, False]]
    assert "saves about" in uses[0][0]["why"] or "it would take" in uses[0][0]["why"]
    assert uses[1][0]["why"] == "all of it was there"
    assert "head with the cache: all of it was there" in " ".join(harmful_run.output.split())
    assert (workplace.root / "cache" / "entries").is_dir()
    ours, theirs = (_exported_variables(record["uris"]["baseline model"]) for record in (good_record, harmful))
    assert all((theirs[name] == value).all() for name, value in ours.items())


def training_of(record: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(record["uris"]["training record"], "training.json").read_text("utf-8"))
    return found


FRESH_PROCESS = """
import json, sys
from pathlib import Path
import tensorflow as tf

model = tf.saved_model.load(sys.argv[1])
answers = {}
for line in sys.stdin:
    path = line.rstrip("\\n")
    answer = model.signatures["serving_default"](images=tf.constant([Path(path).read_bytes()]))
    answers[path] = [answer["label"].numpy()[0].decode(), float(answer["score"].numpy()[0])]
assert not {"trainer", "components", "pipeline", "tfx"} & set(sys.modules), "our code was imported"
print(json.dumps(answers))
"""


def test_pushed_model_alone_answers_on_raw_files_as_it_was_evaluated(
    good_record: dict[str, Any], workplace: Workplace
) -> None:
    files = _photographs_of_split(good_record, workplace, "test")
    done = subprocess.run(
        [str(_python()), "-I", "-c", FRESH_PROCESS, good_record["uris"]["pushed model"]],
        input="\n".join(str(path) for path in files),
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    answers = json.loads(done.stdout.splitlines()[-1])
    num_right = sum(label == Path(path).parent.name for path, (label, _) in answers.items())
    verdict = good_record["verdict"]
    assert len(files) == verdict["num_test_examples"]
    assert num_right / len(files) == pytest.approx(verdict["metrics"][0]["candidate"], abs=1e-6)


def test_training_saw_the_pixels_that_serving_computes(good_record: dict[str, Any], workplace: Workplace) -> None:
    import numpy as np
    import tensorflow as tf

    from trainer.datasets import evaluation_batches, open_split
    from trainer.images import decode_and_resize

    (folder,) = (workplace.root / "artifacts" / "Transform" / "transformed_examples").glob("*/Split-test")
    split = open_split(str(folder), 32)
    files = _photographs_of_split(good_record, workplace, "test")
    inputs, _, _ = next(iter(evaluation_batches(split, split.num_examples)))
    expected = [decode_and_resize(tf.constant(path.read_bytes()), 32).numpy() for path in files]
    np.testing.assert_array_equal(inputs["pixels"].numpy(), np.stack(expected))


def test_frozen_variables_never_moved_and_the_rest_only_above_the_boundary(good_record: dict[str, Any]) -> None:
    training = json.loads((Path(good_record["uris"]["training record"]) / "training.json").read_text("utf-8"))
    head, fine_tune = training["phases"]
    assert head["trainable"]["first_layer"] is None
    assert {path.split("/")[-2] for path in head["freeze_contract"]["changed"]} == {"head"}
    assert set(fine_tune["freeze_contract"]["changed"]) == set(fine_tune["trainable"]["variables"])
    assert not any("batch_norm" in path for path in fine_tune["freeze_contract"]["changed"])

    pretrained = _pretrained_variables(training["settings"])
    baseline = _exported_variables(good_record["uris"]["baseline model"])
    candidate = _exported_variables(good_record["uris"]["candidate model"])
    assert all((baseline[name] == value).all() for name, value in pretrained.items())
    moved = {name for name, value in pretrained.items() if (candidate[name] != value).any()}
    assert moved == {"block2_conv/kernel", "block3_conv/kernel", "block4_conv/kernel"}


def test_killed_run_restarts_and_finishes_on_two_replicas(new_workplace: Callable[[str], Workplace]) -> None:
    workplace = new_workplace("killed")
    two_replicas = ("infrastructure.num_cpu_replicas=2", "model.batch_size_per_replica=16")
    process = subprocess.Popen(
        workplace.command("config.yaml", *two_replicas),
        cwd=REPOSITORY,
        env=environment(),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    _wait_for_step(workplace, "FineTuner", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    done = workplace.run("config.yaml", *two_replicas)

    assert done.exit_status == 0, done.output + done.errors
    killed, finished = workplace.records()
    assert killed["status"] == "running", "nobody was there to write more"
    assert [states(finished)[step] for step in INGESTION] == ["reused"] * len(INGESTION)
    assert finished["status"] == "pushed"
    assert workplace.versions() == ["1"]
    training = json.loads((Path(finished["uris"]["training record"]) / "training.json").read_text("utf-8"))
    assert training["devices"].startswith("2 replicas")
    assert {phase["freeze_contract"]["num_replicas"] for phase in training["phases"]} == {2}


def _wait_for_step(workplace: Workplace, step: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(1500):
        records = workplace.records()
        if records and step in states(records[0]):
            return
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.2)
    raise AssertionError(f"{step} was never reached")


def _photographs_of_split(record: dict[str, Any], workplace: Workplace, split: str) -> list[Path]:
    """The source files of a split's examples, in the order of the examples."""
    import tensorflow as tf

    (folder,) = (workplace.root / "artifacts" / "ImageExampleGen" / "examples").glob(f"*/Split-{split}")
    records = tf.data.TFRecordDataset(sorted(str(path) for path in folder.iterdir()))
    paths = [tf.train.Example.FromString(record.numpy()).features.feature["path"] for record in records]
    return [workplace.photographs / path.bytes_list.value[0].decode() for path in paths]


def _exported_variables(model_uri: str) -> dict[str, Any]:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(Path(model_uri) / "Format-Serving"))
    variables = loaded.signatures["serving_default"].variables
    return {"/".join(variable.name.removesuffix(":0").split("/")[-2:]): variable.numpy() for variable in variables}


def _pretrained_variables(settings: dict[str, Any]) -> dict[str, Any]:
    from trainer.small_cnn import small_cnn

    backbone = small_cnn(settings["image_size_px"])
    backbone.load_weights(EXAMPLE / "small_cnn.weights.h5")
    return {variable.path: variable.numpy() for variable in backbone.weights}


def _python() -> Path:
    """The interpreter itself, so that `-I` leaves only its installed packages on the path."""
    import sys

    return Path(sys.executable)


def test_a_run_with_a_class_more_begins_with_the_pushed_model_and_lists_the_classes(
    warm_run: Finished, good_record: dict[str, Any], workplace: Workplace
) -> None:
    assert warm_run.exit_status == 0, warm_run.output + warm_run.errors
    uris = workplace.records()[3]["uris"]
    begun = json.loads(Path(uris["training record"], "training.json").read_text("utf-8"))["warm_start"]
    assert begun["model"] == str(workplace.served / "1")
    assert sorted(begun["kept"]) == ["eight", "five", "nine", "seven", "six"] and begun["dropped"] == []
    assert begun["new"] == ["negative five"]
    words = " ".join(warm_run.output.split())
    assert f"classes kept: 5 ({', '.join(begun['kept'])})" in words and "classes new: 1 (negative five)" in words
    pushed = _exported_variables(good_record["uris"]["candidate model"])
    baseline = _exported_variables(uris["baseline model"])
    assert all((baseline[name] == value).all() for name, value in pushed.items() if not name.startswith("head"))


def test_after_its_push_the_same_warm_run_reuses_everything(warm_run: Finished, workplace: Workplace) -> None:
    assert workplace.versions() == ["1", "2"]
    again = workplace.run("config.yaml", *workplace.warm_settings)
    assert again.exit_status == 0, again.output + again.errors
    assert set(states(workplace.records()[4]).values()) == {"reused"}
    assert workplace.versions() == ["1", "2"]
