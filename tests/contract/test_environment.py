"""infra/environment: which way it takes, when it sets up again, what it passes through.

The script is real, in a checkout of its own, on a doctored machine.
"""

import fcntl
import os
import pathlib
import signal
import subprocess
import time

import pytest
from doctored_machine import FAKE_DOCKER, FAKE_UV, Machine


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    made = Machine(tmp_path)
    made.add("uv", FAKE_UV)
    return made


@pytest.fixture
def old_machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path, glibc="2.36")


def test_one_message_names_every_way_and_remedy_when_none_is_possible(old_machine: Machine) -> None:
    result = old_machine.run("run", "true")
    assert result.returncode == 69
    assert "native   glibc 2.36 is older than 2.39" in result.stderr
    assert "docker   not found" in result.stderr
    assert "podman   not found" in result.stderr
    assert "buildah  needs root" in result.stderr
    assert "Debian 13, Ubuntu 24.04" in result.stderr
    assert "No such file" not in result.stderr


def test_docker_without_a_daemon_is_found_not_to_work(old_machine: Machine) -> None:
    old_machine.add("docker", FAKE_DOCKER)
    result = old_machine.run("run", "true", FAKE_DOCKER_DOWN="1")
    assert result.returncode == 69
    assert "docker   found, but does not answer: Cannot connect to the daemon" in result.stderr


def test_a_processor_without_wheels_is_refused_before_anything_is_set_up(machine: Machine) -> None:
    result = machine.run("run", "true", FAKE_MACHINE="aarch64")
    assert result.returncode == 69
    assert "no wheels for Linux on aarch64" in result.stderr
    assert machine.num_syncs() == 0


@pytest.mark.parametrize("glibc", ["2.39", "2.41", "3.0"])
def test_a_recent_glibc_runs_natively(tmp_path: pathlib.Path, glibc: str) -> None:
    machine = Machine(tmp_path, glibc)
    machine.add("uv", FAKE_UV)
    result = machine.run("run", "--announce", "true")
    assert result.returncode == 0, result.stderr
    assert "environment: native" in result.stderr


@pytest.mark.parametrize("glibc", ["2.5", "2.36", "2.38"])
def test_an_old_glibc_does_not_run_natively_even_when_forced(tmp_path: pathlib.Path, glibc: str) -> None:
    machine = Machine(tmp_path, glibc)
    machine.add("uv", FAKE_UV)
    result = machine.run("run", "true", THAW_ENVIRONMENT_WAY="native")
    assert result.returncode == 69
    assert f"glibc {glibc} is older than 2.39" in result.stderr


def test_an_unknown_way_is_wrong_use(machine: Machine) -> None:
    result = machine.run("run", "true", THAW_ENVIRONMENT_WAY="dokcer")
    assert result.returncode == 64
    assert "'dokcer'" in result.stderr or "dokcer is none of" in result.stderr


def test_a_missing_uv_and_python_are_named_with_the_remedy(tmp_path: pathlib.Path) -> None:
    result = Machine(tmp_path).run("run", "true")
    assert result.returncode == 69
    assert "neither uv" in result.stderr and "apt install python3-venv" in result.stderr


def test_a_missing_compiler_is_named_with_the_remedy(machine: Machine) -> None:
    machine.add("c++", "exit 1")
    result = machine.run("run", "true")
    assert result.returncode == 69
    assert "no C++ compiler" in result.stderr


def test_a_second_start_sets_up_nothing_and_says_nothing(machine: Machine) -> None:
    assert "installing the packages" in machine.run("run", "true").stderr
    second = machine.run("run", "true")
    assert (second.returncode, second.stderr, machine.num_syncs()) == (0, "", 1)


def test_a_start_does_not_wait_for_a_set_up_that_does_not_concern_it(machine: Machine) -> None:
    machine.run("run", "true")
    with (machine.checkout / ".thaw/lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert machine.run("run", "true").stderr == ""


@pytest.mark.parametrize("name", ["uv.lock", "pyproject.toml", "infra/Containerfile"])
def test_a_changed_input_sets_up_again(machine: Machine, name: str) -> None:
    machine.run("run", "true")
    with (machine.checkout / name).open("a") as file:
        file.write("# changed\n")
    machine.run("run", "true")
    assert machine.num_syncs() == 2


def test_a_lock_that_does_not_go_with_the_project_is_told_and_leaves_the_venv_alone(machine: Machine) -> None:
    machine.run("run", "true")
    with (machine.checkout / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    result = machine.run("run", "true", FAKE_UV_LOCK_STATUS="1")
    assert result.returncode == 69
    assert "`make lock` brings it up to date" in result.stderr
    assert (machine.checkout / ".venv/bin/python").exists() and machine.num_syncs() == 1


def test_locking_needs_no_venv_and_passes_its_arguments_on(machine: Machine) -> None:
    result = machine.run("lock", "--upgrade-package", "some")
    assert result.returncode == 0, result.stderr
    assert machine.num_syncs() == 0 and not (machine.checkout / ".venv").exists()
    assert (machine.home / "locks").read_text().startswith("lock --upgrade-package some --project ")


def test_a_change_updates_the_venv_in_place(machine: Machine) -> None:
    machine.run("run", "true")
    (machine.checkout / ".venv/kept").touch()
    with (machine.checkout / "uv.lock").open("a") as file:
        file.write("# changed\n")
    machine.run("run", "true")
    assert (machine.checkout / ".venv/kept").exists()


def test_a_failed_set_up_leaves_no_stamp_and_is_done_again(machine: Machine) -> None:
    assert machine.run("run", "true", FAKE_UV_STATUS="1").returncode == 69
    assert not (machine.checkout / ".venv/.thaw-stamp").exists()
    assert machine.run("run", "true").returncode == 0
    assert machine.num_syncs() == 2


def test_a_killed_set_up_is_done_again_from_nothing(machine: Machine) -> None:
    process = machine.start("run", "true", FAKE_UV_SECONDS="2")
    while machine.num_syncs() == 0:
        time.sleep(0.02)
    process.kill()
    process.communicate(timeout=60)
    (machine.checkout / ".venv/half").mkdir(parents=True)
    assert machine.run("run", "true").returncode == 0
    assert machine.num_syncs() == 2
    assert not (machine.checkout / ".venv/half").exists()


def test_a_venv_that_was_moved_is_made_anew(machine: Machine, tmp_path: pathlib.Path) -> None:
    machine.run("run", "true")
    (machine.checkout / ".venv/left-over").touch()
    machine.checkout = machine.checkout.rename(tmp_path / "moved")
    result = machine.run("run", "true")
    assert result.returncode == 0, result.stderr
    assert not (machine.checkout / ".venv/left-over").exists()


def test_two_set_ups_at_once_do_the_work_once(machine: Machine) -> None:
    both = [machine.start("run", "echo", "done", FAKE_UV_SECONDS="0.5") for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert outputs == ["done\n", "done\n"]
    assert machine.num_syncs() == 1


@pytest.mark.parametrize("status", [0, 1, 3, 69])
def test_the_exit_status_is_that_of_the_command(machine: Machine, status: int) -> None:
    assert machine.run("run", "bash", "-c", f"exit {status}").returncode == status


def test_arguments_and_folder_pass_through_unchanged(machine: Machine) -> None:
    arguments = ["a  b", "", "*", "ü'\"$HOME", "--", "-n"]
    script = "import os, sys; print(sys.argv[1:], os.getcwd())"
    result = machine.run("run", "python", "-c", script, *arguments)
    assert result.stdout == f"{arguments} {machine.home}\n"


def test_a_signal_reaches_the_command_itself(machine: Machine) -> None:
    machine.run("setup")
    process = machine.start("run", "bash", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    assert process.stdout and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 7


def test_inside_the_environment_the_script_only_runs_the_command(machine: Machine) -> None:
    result = machine.run("run", "echo", "here", THAW_ENVIRONMENT_ROOT=str(machine.checkout))
    assert (result.stdout, machine.num_syncs()) == ("here\n", 0)


def test_another_way_makes_the_venv_anew(machine: Machine) -> None:
    machine.add("docker", FAKE_DOCKER)
    machine.run("run", "true")
    (machine.checkout / ".venv/left-over").touch()
    result = machine.run("run", "true", THAW_ENVIRONMENT_WAY="docker")
    assert result.returncode == 0, result.stderr
    assert not (machine.checkout / ".venv/left-over").exists()


def test_a_container_gets_the_folders_and_variables_it_needs(old_machine: Machine, tmp_path: pathlib.Path) -> None:
    old_machine.add("uv", FAKE_UV)
    old_machine.add("docker", FAKE_DOCKER)
    data = pathlib.Path("/opt")
    seen = {"THAW_MOUNTS": str(data), "AWS_SECRET_ACCESS_KEY": "sesame", "EDITOR_OF_MINE": "ed"}
    result = old_machine.run("run", "--announce", "bash", "-c", "exit 3", **seen)
    assert result.returncode == 3, result.stderr
    assert "container by docker (glibc 2.36 is older than 2.39)" in result.stderr
    arguments = (old_machine.home / "docker-arguments").read_text().splitlines()
    assert f'type=bind,"source={data}","target={data}"' in arguments
    assert f"VIRTUAL_ENV={old_machine.checkout}/.venv" in arguments
    assert "AWS_SECRET_ACCESS_KEY" in arguments and "sesame" not in " ".join(arguments)
    assert "EDITOR_OF_MINE" not in arguments
    assert arguments[arguments.index("--user") + 1] == "1000:1000"


@pytest.mark.parametrize(("mounts", "complaint"), [("/no/such", "no folder"), ("/usr", "belongs to the container")])
def test_a_mount_that_cannot_be_is_refused(old_machine: Machine, mounts: str, complaint: str) -> None:
    old_machine.add("uv", FAKE_UV)
    old_machine.add("docker", FAKE_DOCKER)
    old_machine.run("setup")
    result = old_machine.run("run", "true", THAW_MOUNTS=mounts)
    assert result.returncode == 69
    assert complaint in result.stderr and repr(mounts) in result.stderr


def test_thaw_runs_through_a_link_from_a_folder_with_a_pipeline_of_its_own(
    machine: Machine, tmp_path: pathlib.Path
) -> None:
    command_line = machine.checkout / "pipeline/cli"
    command_line.mkdir(parents=True)
    (command_line / "__main__.py").write_text("import sys; print('ours', sys.argv[1:])")
    decoy = tmp_path / "project/pipeline/cli"
    decoy.mkdir(parents=True)
    (decoy / "__main__.py").write_text("print('decoy')")
    link = tmp_path / "link"
    link.symlink_to(machine.checkout / "thaw")
    command = [str(link), "run", "my config.yaml"]
    out = subprocess.run(
        command, env=machine.environ(), cwd=tmp_path / "project", capture_output=True, text=True, check=True
    )
    assert out.stdout == "ours ['run', 'my config.yaml']\n"


def test_the_environment_can_be_entered_twice(machine: Machine) -> None:
    inner = str(machine.checkout / "infra/environment")
    result = machine.run("run", inner, "run", "bash", "-c", "echo $THAW_ENVIRONMENT")
    assert (result.stdout, machine.num_syncs()) == ("native\n", 1)


def test_this_very_environment_says_which_it_is() -> None:
    assert os.environ.get("THAW_ENVIRONMENT") in {None, "native", "docker", "podman", "buildah"}
