"""What `thaw doctor` finds out."""

import hashlib
import os
import platform
import socket
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import BeamSettings, Configuration, load_configuration
from pipeline.doctor import beam, checks, machine, packages, places, stack, weights

WEIGHT_FILES = {
    "ConvNeXtTiny": "convnext_tiny_notop.h5",
    "DenseNet121": "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "EfficientNetB0": "efficientnetb0_notop.h5",
    "EfficientNetV2B0": "efficientnetv2-b0_notop.h5",
    "EfficientNetV2S": "efficientnetv2-s_notop.h5",
    "InceptionResNetV2": "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "InceptionV3": "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "MobileNet": "mobilenet_1_0_224_tf_no_top.h5",
    "MobileNetV2": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
    "MobileNetV3Small": "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
    "NASNetMobile": "nasnet_mobile_no_top.h5",
    "ResNet50": "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "ResNet50V2": "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "VGG16": "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "Xception": "xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
}


def with_weights(config_path: Path, *overrides: str) -> Configuration:
    return load_configuration(config_path, overrides)


def test_this_environment_is_as_locked() -> None:
    finding = packages.against_lock()
    assert finding.status == "ok", finding.found


def test_every_direct_dependency_is_compared() -> None:
    lock = tomllib.loads(packages.LOCK.read_text(encoding="utf-8"))
    versions = packages.locked_versions(lock)
    assert {"tfx", "tensorflow", "apache-beam", "pydantic", "numpy"} <= versions.keys()
    assert "ruff" not in versions


def test_other_version_than_locked_is_a_problem_that_names_it(tmp_path: Path) -> None:
    text = packages.LOCK.read_text(encoding="utf-8")
    locked = packages.locked_versions(tomllib.loads(text))["pydantic"]
    changed = tmp_path / "uv.lock"
    old = f'name = "pydantic"\nversion = "{locked}"'
    assert old in text
    changed.write_text(text.replace(old, 'name = "pydantic"\nversion = "1.0"'), encoding="utf-8")
    finding = packages.against_lock(changed)
    assert finding.status == "problem"
    assert f"pydantic is {locked}, not 1.0" in finding.found


def test_missing_package_is_a_problem_that_names_it(tmp_path: Path) -> None:
    changed = tmp_path / "uv.lock"
    changed.write_text(
        '[[package]]\nname = "ours"\nsource = { virtual = "." }\ndependencies = [{ name = "no-such-package" }]\n'
        '[[package]]\nname = "no-such-package"\nversion = "1"\nsource = { registry = "r" }\n'
    )
    assert packages.against_lock(changed).found == "1 of 1 are not as in uv.lock: no-such-package is missing"


def test_markers_extras_and_several_versions_are_followed() -> None:
    lock: dict[str, Any] = {
        "package": [
            {
                "name": "ours",
                "source": {"virtual": "."},
                "dependencies": [
                    {"name": "a", "version": "2", "extra": ["x"]},
                    {"name": "other-system", "marker": "sys_platform == 'nowhere'"},
                ],
            },
            {"name": "a", "version": "1", "source": {}},
            {"name": "a", "version": "2", "source": {}, "optional-dependencies": {"x": [{"name": "b"}]}},
            {"name": "b", "version": "3", "source": {}, "dependencies": [{"name": "a", "version": "2"}]},
            {"name": "other-system", "version": "1", "source": {}},
        ]
    }
    assert packages.locked_versions(lock) == {"a": "2", "b": "3"}


def test_absent_lock_is_a_warning(tmp_path: Path) -> None:
    assert packages.against_lock(tmp_path / "uv.lock").status == "warning"


def test_old_c_library_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(os, "confstr", lambda _: "glibc 2.36")
    finding = machine.c_library()
    assert finding.status == "problem"
    assert "glibc 2.36" in finding.found
    assert "2.39 is needed" in finding.remedy


def test_c_library_is_compared_as_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(os, "confstr", lambda _: "glibc 2.100")
    assert machine.c_library().status == "ok"


@pytest.mark.parametrize(("gib", "status"), [(1, "problem"), (3, "warning"), (8, "ok")])
def test_little_memory_is_told(monkeypatch: pytest.MonkeyPatch, gib: int, status: str) -> None:
    monkeypatch.setattr(machine, "available_memory_bytes", lambda: gib * 2**30)
    assert machine.memory().status == status


def test_memory_of_this_machine_is_found() -> None:
    assert machine.available_memory_bytes() > 0


def test_unsupported_python_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    assert machine.python().status == "problem"


def fake_nvidia_smi(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_gpus_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvidia_smi(
        tmp_path, "echo 'NVIDIA A100, 81920 MiB, 550.54'; echo 'NVIDIA A100, 81920 MiB, 550.54'", monkeypatch
    )
    assert machine.gpus().found == "NVIDIA A100, 81920 MiB, 550.54; NVIDIA A100, 81920 MiB, 550.54"


def test_failing_gpu_driver_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvidia_smi(tmp_path, "echo 'cannot talk to the driver'; exit 9", monkeypatch)
    finding = machine.gpus()
    assert (finding.status, finding.found) == ("warning", "nvidia-smi fails: cannot talk to the driver")


def test_no_gpu_is_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.gpus().status == "ok"


def test_stack_that_starts_is_told_with_its_versions() -> None:
    finding = stack.starts("""print('noise'); print('["2.21.0", "1.21.0", 0]')""")
    assert (finding.status, finding.found) == ("ok", "TensorFlow 2.21.0 and TFX 1.21.0 start")


def test_stack_that_does_not_start_is_a_problem_with_the_reason() -> None:
    finding = stack.starts("import no_such_module")
    assert finding.status == "problem"
    assert "No module named 'no_such_module'" in finding.found


def test_stack_that_hangs_is_a_problem() -> None:
    assert stack.starts("import time; time.sleep(60)", timeout_s=0.5).status == "problem"


def test_gpus_that_tensorflow_does_not_see_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvidia_smi(tmp_path, "echo 'NVIDIA A100, 81920 MiB, 550.54'", monkeypatch)
    finding = stack.starts("""print('["2.21.0", "1.21.0", 0]')""")
    assert finding.status == "warning"
    assert "see no GPU" in finding.found


def test_weights_file_with_its_digest_is_well(config_path: Path, tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    model = with_weights(config_path, "model.weights=w.h5", f"model.weights_sha256={digest}").model
    assert weights.reachable(model).status == "ok"


def test_weights_file_with_another_digest_is_a_problem(config_path: Path, tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"weights")
    model = with_weights(config_path, "model.weights=w.h5", f"model.weights_sha256={'a' * 64}").model
    finding = weights.reachable(model)
    assert finding.status == "problem"
    assert f"has sha256 {hashlib.sha256(b'weights').hexdigest()}" in finding.found


def test_missing_weights_file_is_a_problem(config_path: Path) -> None:
    model = with_weights(config_path, "model.weights=w.h5", f"model.weights_sha256={'a' * 64}").model
    assert weights.reachable(model).status == "problem"


def test_no_weights_are_a_warning(config_path: Path) -> None:
    assert weights.reachable(with_weights(config_path).model).status == "warning"


def test_imagenet_weights_of_small_cnn_are_a_problem(config_path: Path) -> None:
    assert weights.reachable(with_weights(config_path, "model.weights=imagenet").model).status == "problem"


def imagenet(config_path: Path) -> Configuration:
    return with_weights(config_path, "model.weights=imagenet", "model.backbone=MobileNetV2")


def test_imagenet_weights_that_were_downloaded_are_well(
    config_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / WEIGHT_FILES["MobileNetV2"]).touch()
    assert weights.reachable(imagenet(config_path).model).status == "ok"


def test_imagenet_weights_out_of_reach_are_a_problem(
    config_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "_SOURCE", "http://127.0.0.1:9/")
    finding = weights.reachable(imagenet(config_path).model)
    assert finding.status == "problem"
    assert "does not answer: " in finding.found


@pytest.mark.parametrize("backbone", WEIGHT_FILES)
def test_file_of_imagenet_weights_is_told_from_those_of_other_backbones(backbone: str) -> None:
    found = [file for file in WEIGHT_FILES.values() if weights.is_weights_of(backbone, 200, file)]
    assert found == [WEIGHT_FILES[backbone]]


def test_weights_with_top_or_of_another_image_size_are_not_taken() -> None:
    assert not weights.is_weights_of("ResNet50", 224, "resnet50_weights_tf_dim_ordering_tf_kernels.h5")
    assert not weights.is_weights_of("MobileNetV2", 96, WEIGHT_FILES["MobileNetV2"])


def test_places_that_do_not_exist_yet_are_well(tmp_path: Path) -> None:
    finding = places.writable("pipeline root", tmp_path / "a" / "b")
    assert (finding.status, finding.found) == ("ok", f"{tmp_path / 'a' / 'b'} (will be made)")
    assert list(tmp_path.iterdir()) == []


def test_file_in_the_way_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert places.writable("pipeline root", tmp_path / "file" / "b").status == "problem"


def test_missing_photographs_are_a_problem_with_a_remedy(config_path: Path) -> None:
    finding = places.photographs(with_weights(config_path, "data.images=nix").data)
    assert finding.status == "problem"
    assert finding.remedy == "it must hold a folder of photographs for each class"


def test_checks_of_a_configuration_are_added(config_path: Path) -> None:
    without = [what for what, _ in checks(None, quick=True)]
    names = [what for what, _ in checks(with_weights(config_path), quick=True)]
    assert names[: len(without)] == without
    assert names[len(without) :] == ["photographs", "weights", "pipeline root", "push destination"]


def test_a_job_server_that_does_not_answer_and_a_workspace_that_is_not_mounted_are_problems(tmp_path: Path) -> None:
    with socket.create_server(("localhost", 0)) as server:
        said = {
            "runner": "flink",
            "job_endpoint": f"localhost:{server.getsockname()[1]}",
            "workers": {"pool": "localhost:50000"},
            "workspace": str(tmp_path),
            "steps": {"Evaluator": {"runner": "direct"}},
        }
        found = beam.runners(BeamSettings.model_validate(said))
        assert found.status == "ok"
        assert "ImageExampleGen on flink, Transform on flink, Evaluator on direct" in found.found
        gone = beam.runners(BeamSettings.model_validate({**said, "workspace": f"{tmp_path}/gone"}))
        assert (gone.status, gone.found) == ("problem", f"there is no folder {tmp_path}/gone")
    closed = beam.runners(BeamSettings.model_validate(said))
    assert closed.status == "problem"
    assert f"no job server answers at {said['job_endpoint']}" in closed.found
