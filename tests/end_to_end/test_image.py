"""The built image: what a process in it sees and may do. The pipeline's steps run in it in test_kubeflow.py."""

import json
import os
from typing import Any

import pytest

from tests.end_to_end.conftest import REPOSITORY
from tests.end_to_end.pods import Image, ImagePods

pytestmark = pytest.mark.image

PROBE = """
import importlib.util, json, os, pathlib, shutil, sys
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
names = ("trainer", "components", "pipeline", "tensorflow", "tfx", "kfp")
print(json.dumps({
    "modules": {name: importlib.util.find_spec(name).origin for name in names},
    "environment": dict(os.environ),
    "ids": [os.getuid(), os.getgid(), os.getgroups()],
    "capabilities": [int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")],
    "gains_no_rights": status["NoNewPrivs"],
    "folder": os.getcwd(),
    "compilers": [name for name in ("cc", "gcc", "g++", "c++", "clang", "uv", "pip", "git") if shutil.which(name)],
    "checkout_is_seen": os.path.exists(sys.argv[1]),
}))
"""
WRITE = """
import errno, pathlib, sys
for folder in sys.argv[1:]:
    try:
        pathlib.Path(folder, "written").write_text("")
        print(folder, "writable")
    except OSError as error:
        print(folder, errno.errorcode[error.errno])
"""
STALE_BYTECODE = """
import importlib.util, pathlib, sys
num_files, stale = 0, []
for folder in sys.argv[1:]:
    for source in pathlib.Path(folder).rglob("*.py"):
        stat, compiled = source.stat(), pathlib.Path(importlib.util.cache_from_source(source))
        header = compiled.read_bytes()[8:16] if compiled.exists() else b""
        whole = b"".join((int(number) & 0xFFFFFFFF).to_bytes(4, "little") for number in (stat.st_mtime, stat.st_size))
        num_files += 1
        if header != whole:
            stale.append(str(source))
print(num_files, stale)
"""
DISTRIBUTIONS = """
import importlib.metadata, json
print(json.dumps([[found.name, found.version] for found in importlib.metadata.distributions()]))
"""


@pytest.fixture(scope="module")
def image() -> Image:
    found = Image.at_hand()
    if found is None:
        pytest.skip(Image.why_not())
    return found


@pytest.fixture(scope="module")
def pods(image: Image, tmp_path_factory: pytest.TempPathFactory) -> ImagePods:
    folder = tmp_path_factory.mktemp("image")
    (folder / "photographs").mkdir()
    made = ImagePods(image, folder / "pod", (folder / "photographs", folder / "served"), {"FROM_A_SECRET": "sesame"})
    made.make_folder()
    made.hand_over()
    return made


@pytest.fixture(scope="module")
def seen(pods: ImagePods) -> dict[str, Any]:
    """What a process of a step sees."""
    process = pods.start(["python", "-P", "-c", PROBE, str(REPOSITORY)], {"FROM_THE_POD": "1"})
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    return json.loads(output)


def test_the_code_is_the_images_and_no_checkout_can_be_seen(seen: dict[str, Any]) -> None:
    packages = "/opt/thaw/.venv/lib/python3.13/site-packages"
    assert seen["modules"] == {
        **{name: f"/opt/thaw/{name}/__init__.py" for name in ("trainer", "components", "pipeline")},
        **{name: f"{packages}/{name}/__init__.py" for name in ("tensorflow", "tfx", "kfp")},
    }
    assert not seen["checkout_is_seen"]


def test_variables_are_those_of_the_image_the_secret_and_the_pod(image: Image, seen: dict[str, Any]) -> None:
    assert "THAW_IMAGE_ROOT" in os.environ
    assert seen["environment"] == {**image.environment, "FROM_A_SECRET": "sesame", "FROM_THE_POD": "1"}
    assert seen["folder"] == image.folder == "/home/thaw"


def test_a_process_is_nobody_special(image: Image, seen: dict[str, Any]) -> None:
    assert image.user == "10001:10001"
    assert seen["ids"] == [10001, 10001, []]
    assert (seen["capabilities"], seen["gains_no_rights"]) == ([0, 0, 0], "1")


def test_there_is_nothing_to_compile_or_install_with(seen: dict[str, Any]) -> None:
    assert seen["compilers"] == []


def test_only_what_is_mounted_can_be_written(pods: ImagePods) -> None:
    mounted = ("/tmp", "/minio", "/s3", "/gcs", "/srv")
    others = ("/", "/opt/thaw", "/opt/thaw/.venv", "/home/thaw", "/usr/bin", "/etc", "/var/tmp")
    process = pods.start(["python", "-c", WRITE, *mounted, *others], {})
    found = dict(line.split() for line in process.communicate(timeout=60)[0].splitlines())
    assert found == {**dict.fromkeys(mounted, "writable"), **dict.fromkeys(others, "EROFS")}


def test_our_three_packages_belong_to_nobody_else(image: Image) -> None:
    done = image.run("python", "/opt/thaw/bin/assert_own_names.py", "/opt/thaw")
    assert (done.returncode, done.stdout) == (0, "")


def test_the_bill_of_materials_names_every_package_that_is_installed(image: Image) -> None:
    bill = json.loads(image.run("cat", "/opt/thaw/sbom/python.cdx.json").stdout)
    assert bill["bomFormat"] == "CycloneDX"
    listed = {(normal(item["name"]), item["version"]) for item in bill["components"]}
    installed = {
        (normal(name), version) for name, version in json.loads(image.run("python", "-c", DISTRIBUTIONS).stdout)
    }
    assert len(installed) > 150
    assert installed - listed == set()
    debian = image.run("cat", "/opt/thaw/sbom/debian.tsv").stdout
    assert {"python3", "ca-certificates"} <= {line.split("\t")[0] for line in debian.splitlines()}


def test_a_read_only_root_need_not_compile_what_it_imports(image: Image) -> None:
    packages = "/opt/thaw/.venv/lib/python3.13/site-packages"
    folders = [f"/opt/thaw/{name}" for name in ("trainer", "components", "pipeline")]
    folders += [f"{packages}/{name}" for name in ("tfx", "keras", "apache_beam/runners")]
    done = image.run("python", "-c", STALE_BYTECODE, *folders)
    num_files, _, stale = done.stdout.partition(" ")
    assert int(num_files) > 1000
    assert stale.strip() == "[]"


def test_the_image_says_which_commit_it_is_of(image: Image) -> None:
    assert image.labels["org.opencontainers.image.revision"]
    assert image.labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
