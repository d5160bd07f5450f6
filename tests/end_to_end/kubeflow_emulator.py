"""Kubeflow Pipelines 2.16 as a step sees it: driver and launcher, in a few lines, over a real object store.

What it does was read in Kubeflow's own driver and launcher. The driver resolves inputs, names places for outputs, and
asks the cache. The launcher fetches inputs by bare prefix into local folders, replaces {{$}} in the command, runs it,
reads what it left, strictly, and uploads. Nothing local outlives a step, nor an attempt at it. Commands run as they
were compiled, where the pods say.
"""

import hashlib
import json
import os
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from tests.end_to_end.pods import Pods

FOLDERS = {"minio://": "minio", "s3://": "s3", "gs://": "gcs"}
OUTPUT_FILE = "output_metadata.json"
Spec = dict[str, Any]
Artifact = dict[str, Any]


class StepFailed(Exception):
    """A step has used up its attempts."""


@dataclass
class Attempt:
    """One pod: a process that ran a compiled command."""

    task: str
    exit_status: int
    log: str


@dataclass
class Kubeflow:
    """A cluster with one object store, one image and a cache.

    Attributes:
        client: boto3's, of the store.
        bucket: that holds the pipeline root.
        pods: start commands in the image.
        scheme: of the pipeline root.
        attempts: all pods that have ended.
    """

    client: Any
    bucket: str
    pods: Pods
    scheme: str = "minio://"
    attempts: list[Attempt] = field(default_factory=list)
    _cache: dict[str, dict[str, Artifact]] = field(default_factory=dict)
    _num_artifacts: int = 0

    def run(
        self,
        spec: Spec,
        arguments: Mapping[str, str] | None = None,
        run_id: str | None = None,
        only: Callable[[str], bool] = lambda task: True,
        done: Mapping[str, dict[str, Artifact]] | None = None,
        watch: Callable[[str, "subprocess.Popen[str]"], None] | None = None,
    ) -> dict[str, dict[str, Artifact]]:
        """Runs a compiled pipeline.

        Args:
            spec: first document of the compiled file.
            arguments: of the submission; what is missing has its default.
            run_id: of the run; a new one if None.
            only: which tasks are run.
            done: outputs of tasks that have been run already.
            watch: called with each pod as it starts.

        Returns:
            The output artifacts by task and name.

        Raises:
            StepFailed: a step has failed as often as it may.
        """
        given = arguments or {}
        values = {
            name: given.get(name, item["defaultValue"])
            for name, item in spec["root"]["inputDefinitions"]["parameters"].items()
        }
        assert not set(given) - set(values), "the pipeline has no such parameter"
        outputs: dict[str, dict[str, Artifact]] = dict(done or {})
        for task in _in_order(spec["root"]["dag"]["tasks"]):
            if task not in outputs and only(task):
                root = (
                    f"{self.scheme}{self.bucket}/v2/artifacts/{spec['pipelineInfo']['name']}/{run_id or uuid.uuid4()}"
                )
                outputs[task] = self._run_task(spec, task, values, outputs, root, watch)
        return outputs

    def local_path(self, uri: str) -> Path:
        """Where the launcher puts what lies there."""
        (scheme,) = (scheme for scheme in FOLDERS if uri.startswith(scheme))
        return self.pods.folder / FOLDERS[scheme] / uri.removeprefix(scheme)

    def path_in_pod(self, uri: str) -> str:
        """The same, as a pod sees it."""
        return f"{self.pods.prefix}/{self.local_path(uri).relative_to(self.pods.folder).as_posix()}"

    def fetch(self, uri: str, folder: Path) -> Path:
        """Downloads by bare prefix, as the launcher does: what begins with the same letters comes, too."""
        prefix = uri.split("/", 3)[3]
        for key in self.keys(prefix):
            path = folder / os.path.relpath(key, prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            self.client.download_file(self.bucket, key, str(path))
        return folder

    def keys(self, prefix: str = "") -> list[str]:
        """Names of the objects that begin so."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def _run_task(
        self,
        spec: Spec,
        name: str,
        values: Mapping[str, str],
        outputs: Mapping[str, dict[str, Artifact]],
        root: str,
        watch: Callable[[str, "subprocess.Popen[str]"], None] | None,
    ) -> dict[str, Artifact]:
        task, component = spec["root"]["dag"]["tasks"][name], spec["components"][name]
        container = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        executor_input = self._executor_input(task, component, values, outputs, f"{root}/{name}/{uuid.uuid4()}")
        key = _cache_key(executor_input, container)
        is_cached = task.get("cachingOptions", {}).get("enableCache", False)
        if is_cached and key in self._cache:
            return self._cache[key]
        for _ in range(1 + task.get("retryPolicy", {}).get("maxRetryCount", 0)):
            attempt, found = self._launch(name, container, executor_input, watch)
            self.attempts.append(attempt)
            if attempt.exit_status == 0:
                self._cache[key] = found
                return found
        raise StepFailed(f"{name} ended with {attempt.exit_status}:\n{attempt.log[-6000:]}")

    def _executor_input(
        self,
        task: Spec,
        component: Spec,
        values: Mapping[str, str],
        outputs: Mapping[str, dict[str, Artifact]],
        root: str,
    ) -> pipeline_spec_pb2.ExecutorInput:
        inputs = task.get("inputs", {})
        parameters = {
            name: values[item["componentInputParameter"]]
            if "componentInputParameter" in item
            else item["runtimeValue"]["constant"]
            for name, item in inputs.get("parameters", {}).items()
        }
        artifacts = {}
        for name, item in inputs.get("artifacts", {}).items():
            place = item["taskOutputArtifact"]
            artifact = outputs[place["producerTask"]][place["outputArtifactKey"]]
            artifacts[name] = {"artifacts": [{**artifact, "type": {"instanceSchema": ""}}]}
        kinds = {name: item["artifactType"] for name, item in component["outputDefinitions"]["artifacts"].items()}
        kinds["executor-logs"] = {"schemaTitle": "system.Artifact"}
        made = {
            name: {"artifacts": [{"name": name, "uri": f"{root}/{name}", "type": kind}]} for name, kind in kinds.items()
        }
        output_file = f"{self.path_in_pod(root)}/{OUTPUT_FILE}"
        return json_format.ParseDict(
            {
                "inputs": {"parameterValues": parameters, "artifacts": artifacts},
                "outputs": {"artifacts": made, "outputFile": output_file},
            },
            pipeline_spec_pb2.ExecutorInput(),
        )

    def _launch(
        self,
        name: str,
        container: Spec,
        executor_input: pipeline_spec_pb2.ExecutorInput,
        watch: Callable[[str, "subprocess.Popen[str]"], None] | None,
    ) -> tuple[Attempt, dict[str, Artifact]]:
        self.pods.make_folder()
        for listed in executor_input.inputs.artifacts.values():
            self.fetch(listed.artifacts[0].uri, self.local_path(listed.artifacts[0].uri))
        for listed in executor_input.outputs.artifacts.values():
            self.local_path(listed.artifacts[0].uri).parent.mkdir(parents=True, exist_ok=True)
        self.pods.hand_over()
        text = json_format.MessageToJson(executor_input)
        command = [part.replace("{{$}}", text) for part in (*container["command"], *container["args"])]
        variables = {item["name"]: item["value"] for item in container.get("env", ())}
        attempt = self._pod(name, command, variables, watch)
        found = self._collect(executor_input) if attempt.exit_status == 0 else {}
        self.pods.make_folder()
        return attempt, found

    def _pod(
        self,
        name: str,
        command: list[str],
        variables: Mapping[str, str],
        watch: Callable[[str, "subprocess.Popen[str]"], None] | None,
    ) -> Attempt:
        pod = self.pods.start(command, variables)
        if watch is not None:
            threading.Thread(target=watch, args=(name, pod), daemon=True).start()
        log, _ = pod.communicate(timeout=600)
        return Attempt(name, pod.returncode, log)

    def _collect(self, executor_input: pipeline_spec_pb2.ExecutorInput) -> dict[str, Artifact]:
        """Reads what the command left; a field that there is not, a null or an infinite number is an error."""
        some_uri = next(iter(executor_input.outputs.artifacts.values())).artifacts[0].uri
        path = self.local_path(some_uri).with_name(OUTPUT_FILE)
        said = json_format.Parse(path.read_text("utf-8"), pipeline_spec_pb2.ExecutorOutput())
        found = {}
        for name, listed in executor_input.outputs.artifacts.items():
            if name == "executor-logs":
                continue
            artifact = listed.artifacts[0]
            if name in said.artifacts:
                artifact.uri = said.artifacts[name].artifacts[0].uri or artifact.uri
                artifact.metadata.MergeFrom(said.artifacts[name].artifacts[0].metadata)
            metadata = json_format.MessageToDict(artifact.metadata)
            assert None not in metadata.values(), f"Kubeflow's metadata store refuses nulls: {metadata}"
            self._upload(artifact.uri)
            self._num_artifacts += 1
            found[name] = {"name": str(self._num_artifacts), "uri": artifact.uri, "metadata": metadata}
        return found

    def _upload(self, uri: str) -> None:
        folder, key = self.local_path(uri), uri.split("/", 3)[3]
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.client.upload_file(str(path), self.bucket, f"{key}/{path.relative_to(folder).as_posix()}")


def _in_order(tasks: Mapping[str, Spec]) -> Iterator[str]:
    done: set[str] = set()
    while len(done) < len(tasks):
        name = next(
            name for name in sorted(tasks) if name not in done and set(tasks[name].get("dependentTasks", ())) <= done
        )
        assert "triggerPolicy" not in tasks[name], "conditions are not emulated; the pipeline has none"
        done.add(name)
        yield name


def _cache_key(executor_input: pipeline_spec_pb2.ExecutorInput, container: Spec) -> str:
    """Of image, command, parameters and names of artifacts; of no content."""
    inputs = executor_input.inputs
    return hashlib.sha256(
        json.dumps(
            [
                container["image"],
                container["command"],
                container["args"],
                {name: json_format.MessageToDict(value) for name, value in sorted(inputs.parameter_values.items())},
                {name: value.artifacts[0].name for name, value in sorted(inputs.artifacts.items())},
                sorted(executor_input.outputs.artifacts),
            ]
        ).encode()
    ).hexdigest()
