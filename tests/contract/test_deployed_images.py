"""What infra/Containerfile promises of the images that are deployed, as far as it can be read; none is built here."""

import importlib.util
import re
import shutil
import subprocess
import sys
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
    assert "org.opencontainers.image.revision" in stage


def test_no_image_asks_to_be_watched_since_they_run_jobs() -> None:
    assert "HEALTHCHECK" not in TEXT


def test_compilers_stay_out_of_what_is_deployed() -> None:
    for name in ("base", "code", "runtime", "packages", "packages-gpu", "cpu", "gpu"):
        assert "g++" not in STAGES[name] and "apt-get install" not in STAGES[name].partition("python3")[2]


def test_what_has_no_wheel_is_compiled_elsewhere() -> None:
    """`install_packages` names the one package; with another, there would be no compiler where it is installed."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    without = {item["name"] for item in lock["package"] if "sdist" in item and not item.get("wheels")}
    pure = {"google-apitools", "kfp-server-api", "rouge-score"}  # Python alone
    assert without - pure == {"pyfarmhash"}
    assert "--no-install-package pyfarmhash" in (ROOT / "infra/install_packages").read_text()


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
    gone += ["jedi/third_party/typeshed/a.pyi"]
    kept = [
        "tensorflow/__init__.py",
        "jedi/api.py",
        "pyarrow/lib.so",
        "sklearn/x/y.py",
        "kfp/tests/t.py",
        "numpy/testing/a.py",
    ]
    for name in [*gone, *kept, "pandas/a.py", "scipy/a.py"]:
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text("")
    subprocess.run([str(ROOT / "infra/cut_packages"), str(tmp_path)], check=True)
    assert [name for name in gone if (packages / name).exists()] == []
    assert [name for name in kept if not (packages / name).exists()] == []


@pytest.mark.skipif(sys.platform != "linux", reason="the image is built on Linux")
def test_symbols_are_cut_from_extensions_but_not_from_what_other_tools_have_rewritten(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("kiwisolver._cext")
    assert spec is not None and spec.origin is not None
    packages = tmp_path / "lib/python3.13/site-packages"
    own, *others = (packages / name for name in ("kiwisolver/a.so", "numpy.libs/b.so.1", "nvidia/cudnn/c.so.9"))
    for path in (own, *others):
        path.parent.mkdir(parents=True)
        shutil.copyfile(spec.origin, path)
    for name in ("numpy", "pandas", "scipy", "sklearn"):
        (packages / name).mkdir()
    subprocess.run([str(ROOT / "infra/cut_packages"), str(tmp_path)], check=True)
    size_bytes = Path(spec.origin).stat().st_size
    assert size_bytes > 1e6 and own.stat().st_size < size_bytes / 2
    assert [path.stat().st_size for path in others] == [size_bytes, size_bytes]
    subprocess.run([sys.executable, "-c", "import ctypes, sys; ctypes.CDLL(sys.argv[1])", str(own)], check=True)
