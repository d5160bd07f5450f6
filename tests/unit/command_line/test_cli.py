"""The command line as a real process: exit statuses, what goes to which stream, what is imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import Thaw

COMMANDS = (
    "run",
    "worker",
    "runs",
    "show",
    "report",
    "compare",
    "predict",
    "config",
    "doctor",
    "submit",
    "status",
    "manifest",
)


def test_help_imports_nothing_heavy(environment: dict[str, str]) -> None:
    program = (
        "import sys\n"
        "from pipeline.cli import main\n"
        "status = main._status(['--help'])\n"
        "heavy = {'tensorflow', 'tfx', 'apache_beam', 'keras', 'numpy', 'pydantic', 'yaml'}\n"
        "print(status, sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


@pytest.mark.parametrize("command", ["runs", "show", "config", "doctor"])
def test_questions_import_no_tensorflow(environment: dict[str, str], config_path: Path, command: str) -> None:
    arguments = {"doctor": ["doctor", "--quick"], "config": ["config", str(config_path)]}.get(command, [command])
    program = (
        "import sys\n"
        "from pipeline.cli import main\n"
        f"main._status({arguments!r})\n"
        "print(sorted({'tensorflow', 'tfx', 'apache_beam', 'keras'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=config_path.parent, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_lists_every_command(thaw: Thaw) -> None:
    done = thaw("--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert f" {command} " in done.stdout
    assert "3 refused by the gate" in done.stdout


def test_no_command_shows_the_help(thaw: Thaw) -> None:
    assert thaw().stdout == thaw("--help").stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_has_an_example_and_the_exit_statuses(thaw: Thaw, command: str) -> None:
    done = thaw(command, "--help")
    assert done.returncode == 0
    assert f"Example: thaw {command}" in done.stdout
    assert "Exit status: 0 " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nix"], "thaw: no such command 'nix'; `thaw --help` explains\n"),
        (["run"], "thaw: missing argument 'CONFIG'; `thaw run --help` explains\n"),
        (["worker", "config.yaml"], "thaw: TF_CONFIG names no other machine, so there is nothing to join\n"),
        (["run", "nix.yaml"], "thaw: there is no file nix.yaml; the folder holds config.yaml\n"),
        (["run", "config.yaml", "--nix"], "thaw: no such option: --nix; `thaw run --help` explains\n"),
        (["run", "config.yaml", "--set", "model.sed=1"], "  model.sed: no such key; nearest: seed; "),
        (["run", "config.yaml", "--set", "data.images=nix"], "thaw: the run cannot start:\n  data.images: "),
        (["config"], "thaw: give a configuration file to check and print, or --preset, or --schema, one of them"),
        (["config", "config.yaml", "--schema"], "thaw: give a configuration file to check and print, or --preset"),
        (["config", "--schema", "--set", "a=1"], "thaw: --set changes a configuration; "),
        (["config", "config.yaml", "--set", "gate.top_k=1"], "  gate.top_k: 1 must be at least 2\n"),
        (["runs"], "thaw: no runs below "),
        (["runs", "--root", "nix"], "thaw: there is no folder nix; "),
        (["runs", "config.yaml", "--root", "."], "thaw: give a configuration or --root, not both\n"),
        (["runs", "--limit", "0"], "thaw: invalid value for "),
        (["show", "last", "config.yaml"], "thaw: there is no run 'last' in runs/shapes; `thaw runs` lists them\n"),
        (["predict", "nix", "config.yaml"], "thaw: there is no folder nix; "),
        (["predict", ".", "config.yaml"], "thaw: no saved_model.pb in . or in a version below it; "),
        (["doctor", "nix.yaml"], "thaw: there is no file nix.yaml; "),
    ],
)
def test_wrong_use_ends_with_2_and_a_message(thaw: Thaw, config_path: Path, arguments: list[str], message: str) -> None:
    assert config_path.name == "config.yaml"
    done = thaw(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("thaw: ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_config_prints_the_resolved_configuration(thaw: Thaw, config_path: Path) -> None:
    done = thaw("config", config_path, "--set", "model.seed=7")
    assert (done.returncode, done.stderr) == (0, "")
    resolved = yaml.safe_load(done.stdout)
    assert resolved["model"]["seed"] == 7
    assert resolved["data"]["images"] == str(config_path.parent / "photo graphs ü")


def test_config_prints_the_schema(thaw: Thaw) -> None:
    done = thaw("config", "--schema")
    assert done.returncode == 0
    assert json.loads(done.stdout)["properties"].keys() == {"name", "data", "model", "gate", "infrastructure"}


def test_messages_name_the_command_as_the_wrapper_says(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "nix"],
        env={**environment, "THAW_COMMAND": "./thaw"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == "thaw: no such command 'nix'; `./thaw --help` explains\n"


@pytest.mark.parametrize("arguments", [["config", "--schema"], ["config", "config.yaml"]])
def test_reader_that_stops_reading_causes_no_traceback(
    environment: dict[str, str], config_path: Path, arguments: list[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        env=environment,
        cwd=config_path.parent,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_doctor_ends_with_0_where_a_run_can_work(thaw: Thaw, config_path: Path) -> None:
    done = thaw("doctor", config_path, "--quick")
    assert done.returncode == 0, done.stdout
    assert "All that is needed is here:\n  thaw run config.yaml\n" in done.stdout


def test_doctor_ends_with_1_where_it_cannot(thaw: Thaw, config_path: Path) -> None:
    for photograph in (config_path.parent / "photo graphs ü" / "circles").iterdir():
        photograph.unlink()
    done = thaw("doctor", config_path, "--quick")
    assert done.returncode == 1
    assert "✗  photographs         problem: data.images: no file in " in done.stdout
    assert "`thaw run` cannot work here: 1 problem.\n" in done.stdout


def test_missing_photograph_is_told(thaw: Thaw, tmp_path: Path) -> None:
    version = tmp_path / "serving" / "17"
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()
    done = thaw("predict", "serving", "a.png", "b.png")
    assert (done.returncode, done.stderr) == (
        2,
        "thaw: there is no file a.png (and 1 more); give JPEG, PNG, WebP, GIF, BMP or TIFF files\n",
    )
