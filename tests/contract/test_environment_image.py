"""infra/environment and the built image: whether it is of this code, and how a run comes to see it.

The script is real, on a doctored machine; tests/end_to_end/test_image.py looks at a real image.
"""

import fcntl
import pathlib
import re
import subprocess

import pytest
from doctored_machine import FAKE_BUILDAH, FAKE_UNSHARE, FAKE_UV, ROOT, Machine

SEEN = ("bash", "-c", 'echo "$THAW_IMAGE_ROOT|$THAW_IMAGE_CONFIG|$THAW_IMAGE_MISSING"')


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    """Root's, with buildah."""
    made = Machine(tmp_path)
    made.add("uv", FAKE_UV)
    made.add("id", "echo 0")
    made.add("buildah", FAKE_BUILDAH)
    made.add("unshare", FAKE_UNSHARE)
    made.add("mount", "true")
    for name in ("components", "examples", "pipeline", "trainer/__pycache__"):
        (made.checkout / name).mkdir(parents=True)
    (made.checkout / "trainer/code.py").write_text("1\n")
    (made.checkout / ".dockerignore").write_text("")
    return made


def num_builds(machine: Machine) -> int:
    calls = machine.home / "builds"
    return len(calls.read_text().splitlines()) if calls.exists() else 0


def seen(machine: Machine) -> list[str]:
    result = machine.run("run", "--image", *SEEN)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip().split("|")


def test_a_run_sees_the_image_of_its_code(machine: Machine) -> None:
    assert machine.run("image").returncode == 0
    state = machine.checkout / ".thaw"
    assert seen(machine) == [str(state / "image"), str(state / "image.json"), ""]
    assert (state / "image.json").read_text() == "{}\n"


def test_without_an_image_a_run_is_told_how_to_make_one(machine: Machine) -> None:
    assert seen(machine) == ["", "", "no image of this code: make test-image"]


def test_an_image_of_other_code_is_none(machine: Machine) -> None:
    machine.run("image")
    for name, content in (("trainer/code.py", "2\n"), ("trainer/new.py", "1\n"), ("uv.lock", "\n")):
        before = (machine.checkout / name).read_text() if (machine.checkout / name).exists() else None
        (machine.checkout / name).write_text(content)
        assert seen(machine)[0] == "", name
        if before is None:
            (machine.checkout / name).unlink()
        else:
            (machine.checkout / name).write_text(before)
    assert seen(machine)[0] != ""


def test_an_image_is_built_again_only_if_what_goes_into_it_has_changed(machine: Machine) -> None:
    assert machine.run("image", "--if-changed", "cpu").returncode == 0
    (machine.checkout / "trainer/__pycache__/code.pyc").write_text("")
    (machine.checkout / "README.md").write_text("changed\n")
    result = machine.run("image", "--if-changed", "cpu")
    assert "is of this code already" in result.stderr and num_builds(machine) == 1
    (machine.checkout / "trainer/code.py").write_text("2\n")
    machine.run("image", "--if-changed", "cpu")
    assert num_builds(machine) == 2
    machine.run("image", "cpu")
    assert num_builds(machine) == 3


def test_containers_of_earlier_code_are_removed_unless_a_run_is_in_one(machine: Machine) -> None:
    def containers() -> int:
        return len(list((machine.home / "containers").iterdir()))

    machine.run("image")
    seen(machine)
    (machine.checkout / "trainer/code.py").write_text("2\n")
    with (machine.home / ".cache/thaw/image.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        machine.run("image")
        assert seen(machine)[0] != "" and containers() == 2
    (machine.checkout / "trainer/code.py").write_text("3\n")
    machine.run("image")
    assert seen(machine)[0] != "" and containers() == 1


def test_whoever_is_not_root_is_told_so(machine: Machine) -> None:
    machine.add("id", "echo 1000")
    assert seen(machine) == ["", "", "only root on Linux can enter an image's file system"]


def test_the_exit_status_is_that_of_the_command(machine: Machine) -> None:
    machine.run("image")
    assert machine.run("run", "--image", "bash", "-c", "exit 3").returncode == 3


def test_all_that_the_build_sees_tells_one_image_from_another() -> None:
    script = (ROOT / "infra/environment.d/image.sh").read_text()
    (listed,) = re.findall(r"^IMAGE_INPUTS=\((.*?)\)", script, flags=re.MULTILINE | re.DOTALL)
    seen_by_build = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(listed.split()) == seen_by_build | {".dockerignore", "infra/Containerfile"}


def test_the_scripts_pass_shellcheck() -> None:
    scripts = ("infra/environment", "infra/install_packages", "infra/cut_packages", "tests/end_to_end/enter_image")
    done = subprocess.run(["shellcheck", "--external-sources", *scripts], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_newly_built_image_takes_the_place_of_the_earlier_one(machine: Machine) -> None:
    machine.run("image")
    seen(machine)
    first = (machine.home / "label").read_text()
    (machine.checkout / "trainer/code.py").write_text("2\n")
    machine.run("image")
    assert (machine.home / "removed").read_text() == first
    assert not list((machine.home / "containers").iterdir())
