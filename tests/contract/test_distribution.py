"""What is installed from this checkout, what is locked, and what continuous integration runs."""

import pathlib
import re
import runpy
import shutil
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).parents[2]
OUR_NAMES = {"trainer", "components", "pipeline"}


def test_setup_py_builds_our_three_packages_with_their_data_and_nothing_else(tmp_path: pathlib.Path) -> None:
    checkout = tmp_path / "checkout"
    for name in sorted(OUR_NAMES):
        shutil.copytree(ROOT / name, checkout / name)
    for name in ("tests", "examples", "benchmarks", "infra"):
        (checkout / name).mkdir()
        (checkout / name / "__init__.py").touch()
    (checkout / "pipeline/templates").mkdir(exist_ok=True)
    (checkout / "pipeline/templates/report.html").touch()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, checkout / name)
    command = [sys.executable, "setup.py", "--quiet", "build", "--build-lib", str(tmp_path / "built")]
    subprocess.run(command, cwd=checkout, check=True, capture_output=True)
    assert {path.name for path in (tmp_path / "built").iterdir()} == OUR_NAMES
    assert (tmp_path / "built/pipeline/templates/report.html").exists()
    assert not list((tmp_path / "built").rglob("*.pyc"))
    assert _modules(tmp_path / "built") == _modules(checkout, *OUR_NAMES)


def _modules(root: pathlib.Path, *names: str) -> set[str]:
    files = [file for name in names or ("",) for file in (root / name).rglob("*.py")]
    return {str(file.relative_to(root)) for file in files}


def test_every_locked_artifact_has_a_hash() -> None:
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    fetched = [package for package in packages if "virtual" not in package["source"]]
    assert len(fetched) > 100
    for package in fetched:
        artifacts = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        assert artifacts, package["name"]
        assert all(artifact["hash"].startswith("sha256:") for artifact in artifacts), package["name"]


def test_uv_itself_is_pinned_by_hash() -> None:
    lines = (ROOT / "infra/uv-requirements.txt").read_text().splitlines()
    pins = [line for line in lines if re.match(r"^[a-z]", line)]
    assert len(pins) == 1 and re.match(r"^uv==\d+\.\d+\.\d+ ", pins[0])
    assert sum("--hash=sha256:" in line for line in lines) > 10


def test_continuous_integration_runs_the_checks_and_then_the_tests_of_the_readme_with_the_image() -> None:
    script = (ROOT / ".ci/run").read_text()
    assert "set -euo pipefail" in script
    _, commands = script.split('/.."\n')
    assert commands.splitlines() == [
        "make check",
        "infra/environment image --if-changed cpu",
        "THAW_IMAGE_REQUIRED=1 make test",
    ]
    assert "make test" in (ROOT / "README.md").read_text()


def test_help_lists_every_target_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = next(line for line in makefile.splitlines() if line.startswith(".PHONY:")).split()[1:]
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [target for target in targets if f"make {target} " not in shown] == []
    assert "THAW_MOUNTS" in shown


def test_a_foreign_owner_of_our_names_is_named() -> None:
    foreign_owners = runpy.run_path(str(ROOT / "infra/assert_own_names.py"))["foreign_owners"]
    owners = {"pipeline": ["other-dist", "thaw-pipeline"], "numpy": ["numpy"]}
    (complaint,) = foreign_owners(owners)
    assert "'pipeline'" in complaint and "'other-dist'" in complaint
    assert foreign_owners({"trainer": ["thaw-pipeline"]}) == []


def test_no_installed_package_takes_our_names() -> None:
    command = [sys.executable, str(ROOT / "infra/assert_own_names.py"), str(ROOT)]
    environ = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    result = subprocess.run(command, env=environ, cwd="/", capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
