"""Folders of real image files."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MakeFolder = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def _devices(logical_cpus: int) -> None:
    """TensorFlow starts with the devices that the tests of trainer need later in the same process."""


@pytest.fixture
def make_folder(tmp_path: Path, digit_files: list[tuple[bytes, str]]) -> MakeFolder:
    """Writes digits as class folders, each under `class/NUMBER.png`."""

    def make(name: str = "photo graphs", num_files: int = 60) -> Path:
        for number, (content, label) in enumerate(digit_files[:num_files]):
            path = tmp_path / name / label / f"{number} ü.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return tmp_path / name

    return make


@pytest.fixture(scope="module")
def _s3_url() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    yield f"http://127.0.0.1:{running.get_host_and_port()[1]}"
    running.stop()


@pytest.fixture
def s3_server(_s3_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A server that speaks S3, in this process, on a port of its own, which `s3://` stands for."""
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": _s3_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()  # an earlier one speaks to the server of another file of tests
    return _s3_url


@pytest.fixture(scope="module")
def _gcs_url() -> Iterator[str]:
    from gcs_server import Running

    running = Running()
    yield running.url
    running.stop()


@pytest.fixture
def gcs_server(_gcs_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A server that speaks Google Cloud Storage, in this process, which `gs://` stands for."""
    import gcsfs
    from gcs_server import plain_buckets

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", _gcs_url)
    plain_buckets(monkeypatch)
    gcsfs.GCSFileSystem.clear_instance_cache()
    return _gcs_url
