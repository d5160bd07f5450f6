"""Files between a step and workers of Beam on other machines."""

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trainer.errors import ThawError

pytestmark = pytest.mark.slow  # TFX takes half a minute to import


def executor(*flags: str) -> Any:
    return SimpleNamespace(_beam_pipeline_args=["--runner=PortableRunner", *flags])


def artifact(folder: Path, **files: str) -> Any:
    from tfx.types import standard_artifacts

    found = standard_artifacts.Examples()
    found.uri = str(folder)
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    folder.mkdir(parents=True, exist_ok=True)
    return found


def test_inputs_are_copied_to_the_workspace_and_outputs_back_and_nothing_stays(tmp_path: Path) -> None:
    from components.beam_workers import in_sight_of_workers

    workspace = tmp_path / "workspace"
    given, made = artifact(tmp_path / "given", a="1", deep__b="2"), artifact(tmp_path / "made")
    step = executor(f"--thaw_workspace={workspace}")
    with in_sight_of_workers(step, {"x": [given]}, {"y": [made]}):
        assert step._beam_pipeline_args == ["--runner=PortableRunner"], "Beam does not know our flags"
        assert all(Path(one.uri).is_relative_to(workspace) for one in (given, made))
        assert (Path(given.uri) / "a").read_text() == "1"
        assert (Path(given.uri) / "deep" / "b").read_text() == "2"
        (Path(made.uri) / "deep").mkdir()
        (Path(made.uri) / "deep" / "c").write_text("3")
        (Path(made.uri) / "deep.c.0.partial").write_text("half")
        made.set_string_custom_property("about", given.uri)
    assert (given.uri, made.uri) == (str(tmp_path / "given"), str(tmp_path / "made"))
    assert made.get_string_custom_property("about") == given.uri
    assert [path.name for path in sorted((tmp_path / "made").rglob("*"))] == ["deep", "c"]
    assert list(workspace.iterdir()) == []


def test_what_workers_see_stays_where_it_is_without_what_is_half_written(tmp_path: Path) -> None:
    from components.beam_workers import in_sight_of_workers

    given, made = artifact(tmp_path / "shared" / "given", a="1"), artifact(tmp_path / "shared" / "made")
    flags = (f"--thaw_workspace={tmp_path / 'workspace'}", f"--thaw_shared_folder={tmp_path / 'shared'}")
    with in_sight_of_workers(executor(*flags), {"x": [given]}, {"y": [made]}):
        assert (given.uri, made.uri) == (str(tmp_path / "shared" / "given"), str(tmp_path / "shared" / "made"))
        for name in ("whole", "whole.0.partial"):
            (Path(made.uri) / name).write_text("x")
    assert [path.name for path in Path(made.uri).iterdir()] == ["whole"]
    assert not (tmp_path / "workspace").exists()


def test_a_step_that_fails_leaves_nothing_in_the_workspace_and_its_outputs_empty(tmp_path: Path) -> None:
    from components.beam_workers import in_sight_of_workers

    made = artifact(tmp_path / "made")
    with (
        pytest.raises(KeyError),
        in_sight_of_workers(executor(f"--thaw_workspace={tmp_path / 'workspace'}"), {}, {"y": [made]}),
    ):
        (Path(made.uri) / "file").write_text("x")
        raise KeyError("label")
    assert made.uri == str(tmp_path / "made")
    assert list((tmp_path / "made").iterdir()) == list((tmp_path / "workspace").iterdir()) == []


def test_a_workspace_that_is_not_mounted_is_told_and_not_made(tmp_path: Path) -> None:
    from components.beam_workers import in_sight_of_workers

    workspace = tmp_path / "mount" / "beam"
    with (
        pytest.raises(ThawError, match=r"there is no folder '.*beam' here, infrastructure\.beam\.workspace; mount it"),
        in_sight_of_workers(executor(f"--thaw_workspace={workspace}"), {}, {}),
    ):
        pass
    assert not workspace.parent.exists()


def test_nobody_at_the_job_endpoint_is_told_at_once() -> None:
    from components.beam_workers import in_sight_of_workers

    with (
        pytest.raises(
            ThawError, match=r"no Beam job server answers at 'localhost:1' .*set infrastructure\.beam\.job_end"
        ),
        in_sight_of_workers(executor("--job_endpoint=localhost:1"), {}, {}),
    ):
        pass


def test_what_listens_at_the_job_endpoint_and_is_no_job_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from components import beam_workers

    monkeypatch.setattr(beam_workers, "_MAX_CONNECTING_S", 1.0)
    with (
        socket.create_server(("localhost", 0)) as server,
        pytest.raises(ThawError, match=r"no Beam job server answers at .* \(what listens there does not speak gRPC"),
        beam_workers.in_sight_of_workers(executor(f"--job_endpoint=localhost:{server.getsockname()[1]}"), {}, {}),
    ):
        pass


def test_a_job_that_fails_is_told_in_the_words_of_its_worker(tmp_path: Path) -> None:
    import apache_beam as beam
    from apache_beam.runners.portability import local_job_service

    from components.beam_workers import in_sight_of_workers

    def fail(number: int) -> None:
        raise OSError(f"no place for {number}")

    service = local_job_service.LocalJobServicer(str(tmp_path / "staging"))
    endpoint = f"localhost:{service.start_grpc_server(0)}"
    step = executor(f"--job_endpoint={endpoint}", "--environment_type=LOOPBACK")
    try:
        with (
            pytest.raises(ThawError, match=rf"the job on the Beam job server '{endpoint}' failed: .*no place for 7"),
            in_sight_of_workers(step, {}, {}),
            beam.Pipeline(argv=step._beam_pipeline_args) as pipeline,
        ):
            pipeline | beam.Create([7]) | beam.Map(fail)
    finally:
        service.stop()


def test_two_workers_with_the_same_work_do_not_write_into_one_file(tmp_path: Path) -> None:
    from components.whole_files import partial_of, put_in_place

    path = str(tmp_path / "Split-train" / "images-0")
    one, other = partial_of(path), partial_of(path)
    assert one != other
    assert Path(one).parent == tmp_path, "no reader of the split's folder finds it"
    Path(one).write_text("same")
    put_in_place(one, path)
    Path(other).write_text("same")
    put_in_place(other, path)
    assert [item.name for item in tmp_path.rglob("*")] == ["Split-train", "images-0"]
