"""What infra/Containerfile promises of the images that are deployed, as far as it can be read; none is built here."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "infra/Containerfile").read_text()
STAGES = {
    name: body
    for name, body in re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", TEXT, flags=re.MULTILINE | re.DOTALL)
}


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_a_deployed_image_runs_as_nobody_special_and_checks_whose_packages_it_has(target: str) -> None:
    stage = STAGES[target]
    assert stage.rstrip().endswith("USER 10001:10001")
    assert "assert_own_names.py /opt/thaw" in stage
    assert "org.opencontainers.image.revision" in stage and "sbom/python.cdx.json" in stage


def test_no_image_asks_to_be_watched_since_they_run_jobs() -> None:
    assert "HEALTHCHECK" not in TEXT


def test_compilers_stay_out_of_what_is_deployed() -> None:
    for name in ("base", "code", "runtime", "cpu", "gpu"):
        assert "g++" not in STAGES[name] and "apt-get install" not in STAGES[name].partition("python3")[2]


def test_every_file_that_is_copied_may_be_seen_by_the_build() -> None:
    seen = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", TEXT, flags=re.MULTILINE)
    assert {word for words in copied for word in words.split()} == seen


def test_cuda_is_locked_for_the_gpu_image_alone() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    project = next(package for package in lock["package"] if package["name"] == "thaw-pipeline")
    (cuda,) = project["dev-dependencies"]["gpu"]
    assert cuda["name"] == "tensorflow" and cuda["extra"] == ["and-cuda"]
    assert not [item for item in project["dependencies"] if item["name"].startswith("nvidia")]
    packages = {package["name"]: package for package in lock["package"]}
    assert all(wheel["hash"] for wheel in packages["nvidia-cudnn-cu12"]["wheels"])


def test_the_cut_leaves_what_runs(tmp_path: Path) -> None:
    packages = tmp_path / "lib/python3.13/site-packages"
    gone = ["tensorflow/include/a.h", "pyarrow/tests/t.py", "sklearn/x/tests/t.py", "grpc/libx.a"]
    kept = ["tensorflow/__init__.py", "pyarrow/lib.so", "sklearn/x/y.py", "kfp/tests/t.py", "numpy/testing/a.py"]
    for name in [*gone, *kept, "pandas/a.py", "scipy/a.py"]:
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text("")
    subprocess.run([str(ROOT / "infra/cut_packages"), str(tmp_path)], check=True)
    assert [name for name in gone if (packages / name).exists()] == []
    assert [name for name in kept if not (packages / name).exists()] == []
