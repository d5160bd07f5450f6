"""Which room may import which (CONTRIBUTING has the table), and that an import does nothing but define."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ROOMS = ("trainer", "components", "pipeline", "infra", "examples", "benchmarks", "tests")
MAY_IMPORT = {
    "trainer": set(),
    "components": {"trainer"},
    "pipeline": {"trainer", "components"},
    "infra": set(),
    "examples": {"trainer", "components", "pipeline"},
    "benchmarks": {"trainer", "components", "pipeline", "examples"},
    "tests": {*ROOMS},
}
# Seconds that whoever only wants to train, or the command line, must not pay.
HEAVY = ("tfx", "apache_beam", "tensorflow_transform", "tensorflow_data_validation", "tensorflow_model_analysis", "kfp")
NEEDS_TENSORFLOW_TRANSFORM = "trainer.preprocessing"


def sources(room: str) -> list[Path]:
    return sorted(path for path in (REPOSITORY / room).rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, name) of every import, those inside functions and of other rooms by a dotted path included."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
            yield from ((node.lineno, str(name.value)) for name in node.args[:1] if isinstance(name, ast.Constant))


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_the_table_allows(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room}
    wrong = [
        f"{path.relative_to(REPOSITORY)}:{line} imports {name}"
        for path in sources(room)
        for line, name in imports(path)
        if name.split(".")[0] in ROOMS and name.split(".")[0] not in allowed
    ]
    assert not wrong


@pytest.mark.parametrize("room", ["trainer", "components", "pipeline"])
def test_imports_are_absolute_since_the_code_digest_sees_no_others(room: str) -> None:
    relative = [f"{path}:{line}" for path in sources(room) for line, name in imports(path) if name.startswith(".")]
    assert not relative


def test_trainer_needs_neither_tfx_nor_beam() -> None:
    wrong = [
        f"{name_of(path)}:{line} imports {name}"
        for path in sources("trainer")
        for line, name in imports(path)
        if name.split(".")[0] in HEAVY and name_of(path) != NEEDS_TENSORFLOW_TRANSFORM
    ]
    assert not wrong


def test_only_setup_and_tests_lie_outside_the_rooms() -> None:
    """A module at the top would be imported by its bare name, on every machine that has the checkout on its path."""
    assert [path.name for path in REPOSITORY.glob("*.py")] == ["setup.py"]


WATCH = """
import os, socket, sys
sys.path.insert(0, {repository!r})
def refuse(*arguments, **options):
    raise AssertionError("an import opened a connection")
socket.socket.connect = refuse
written = []
def hook(event, arguments):
    if event == "open" and isinstance(arguments[1], str) and set("wax+") & set(arguments[1]):
        if not str(arguments[0]).endswith((".pyc", "/dev/null")) and "__pycache__" not in str(arguments[0]):
            written.append(str(arguments[0]))
for name in {third_party!r}:
    __import__(name)
environment = dict(os.environ)
sys.addaudithook(hook)
for name in {modules!r}:
    __import__(name)
assert dict(os.environ) == environment, "an import changed the environment"
assert not written, written
heavy = sorted({heavy!r} & {{name.split(".")[0] for name in sys.modules}})
assert not heavy, f"imported {{heavy}}"
if "tensorflow" in sys.modules:
    from tensorflow.python.eager import context
    assert context.context()._context_handle is None, "an import started TensorFlow's devices"
print("done")
"""


def import_all(modules: list[str], third_party: list[str], heavy: set[str]) -> str:
    code = WATCH.format(repository=str(REPOSITORY), modules=modules, third_party=third_party, heavy=heavy)
    done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, timeout=600)
    return done.stdout.strip() or done.stderr[-2000:]


@pytest.mark.slow
def test_importing_trainer_starts_no_device_and_imports_no_tfx() -> None:
    modules = [name_of(path) for path in sources("trainer") if name_of(path) != NEEDS_TENSORFLOW_TRANSFORM]
    assert "trainer.run" in modules
    assert import_all(modules, ["tensorflow", "keras"], set(HEAVY)) == "done"


@pytest.mark.slow
def test_importing_components_and_the_graph_starts_no_device() -> None:
    modules = [name_of(path) for path in sources("components")] + ["pipeline.graph", "trainer.preprocessing"]
    assert import_all(modules, ["tensorflow", "tfx.v1", "tensorflow_model_analysis"], set()) == "done"


def test_settings_and_the_verdict_can_be_read_without_tensorflow() -> None:
    """What the command line imports to check a configuration and to show a run."""
    modules = [
        "trainer.settings",
        "trainer.progress",
        "trainer.errors",
        "trainer.serving",
        "components.gate.verdict_schema",
    ]
    assert import_all(modules, [], {*HEAVY, "tensorflow", "keras", "numpy"}) == "done"
