"""A stand-in for the API server of Kubeflow Pipelines 2.16: a real HTTP server on loopback with its state in memory.

Requests must be messages of the published types, and answers are held to them, too. It refuses what the real one
refuses (schema versions, parameters, cron expressions, names that are taken, missing references), with its codes,
keeps to its ways (an experiment of a name once; deletion with and without orphans; pages), and fails on demand.
"""

import json
import re
import threading
import time
import uuid
from typing import Any

import flask
import yaml
from api_state import ApiServer, Json
from api_types import complaints
from werkzeug.serving import WSGIRequestHandler, make_server

from pipeline.kubeflow.cron import parse_cron
from trainer.errors import ConfigurationError

_TYPES = {"STRING": str, "NUMBER_INTEGER": (int, float), "NUMBER_DOUBLE": (int, float), "BOOLEAN": bool, "LIST": list}
_GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 500: 13, 503: 14, 504: 4}


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def make_app(server: ApiServer) -> flask.Flask:
    """The HTTP face of it."""
    app = flask.Flask(__name__)
    api = "/apis/v2beta1"

    @app.before_request
    def before() -> Any:
        line = f"{flask.request.method} {flask.request.path}"
        server.requests.append(line)
        if server.token and flask.request.headers.get("authorization") != f"Bearer {server.token}":
            raise Refused(401, f"Unauthenticated: {flask.request.headers.get('authorization')}")
        fault = next((fault for fault in server.faults if re.search(fault.pattern, line)), None)
        if fault is None:
            return None
        fault.num_times -= 1
        if fault.num_times <= 0:
            server.faults.remove(fault)
        time.sleep(fault.delay_s)
        flask.g.fault = fault
        if fault.status is not None and not fault.after_effect:
            raise Refused(fault.status, "it was arranged so")
        return None

    @app.after_request
    def after(response: flask.Response) -> flask.Response:
        fault = flask.g.get("fault")
        if fault is not None and fault.after_effect and response.status_code == 200:
            return _error(Refused(fault.status or 500, "it was arranged so"))
        return response

    @app.errorhandler(Refused)
    def refused(error: Refused) -> flask.Response:
        return _error(error)

    def answer(value: Json, type_name: str) -> Json:
        server.wrong_answers += complaints(value, type_name, type_name)
        return value

    def body(type_name: str) -> Json:
        value = flask.request.get_json()
        wrong = complaints(value, type_name, type_name)
        if wrong:
            raise Refused(400, "; ".join(wrong))
        return dict(value)

    def listing(items: Any, key: str, type_name: str) -> Json:
        return answer(_page(server, list(items), key), type_name)

    @app.get(f"{api}/healthz")
    def healthz() -> Json:
        return answer({"multi_user": False}, "V2beta1GetHealthzResponse")

    @app.get(f"{api}/pipelines")
    def list_pipelines() -> Json:
        return listing(server.pipelines.values(), "pipelines", "V2beta1ListPipelinesResponse")

    @app.post(f"{api}/pipelines")
    def create_pipeline() -> Json:
        given = body("V2beta1Pipeline")
        if any(item["display_name"] == given["display_name"] for item in server.pipelines.values()):
            raise Refused(409, "the pipeline already exists")
        pipeline_id = str(uuid.uuid4())
        server.pipelines[pipeline_id] = {"pipeline_id": pipeline_id, "created_at": server.now(), **given}
        return answer(server.pipelines[pipeline_id], "V2beta1Pipeline")

    @app.post(f"{api}/pipelines/upload_version")
    def upload_version() -> Json:
        pipeline_id, name = flask.request.args["pipelineid"], flask.request.args["name"]
        if pipeline_id not in server.pipelines:
            raise Refused(400, "Failed to create a pipeline version")
        specification = _specification(flask.request.files["uploadfile"].read())
        if any(
            item["pipeline_id"] == pipeline_id and item["display_name"] == name for item in server.versions.values()
        ):
            raise Refused(409, "Failed to create a pipeline version")
        version_id = str(uuid.uuid4())
        server.versions[version_id] = {
            "pipeline_id": pipeline_id,
            "pipeline_version_id": version_id,
            "display_name": name,
            "created_at": server.now(),
            "pipeline_spec": specification,
        }
        return answer(server.versions[version_id], "V2beta1PipelineVersion")

    @app.get(f"{api}/pipelines/<pipeline_id>/versions")
    def list_versions(pipeline_id: str) -> Json:
        items = [item for item in server.versions.values() if item["pipeline_id"] == pipeline_id]
        return listing(items, "pipeline_versions", "V2beta1ListPipelineVersionsResponse")

    @app.get(f"{api}/pipelines/<pipeline_id>/versions/<version_id>")
    def get_version(pipeline_id: str, version_id: str) -> Json:
        return answer(_one(server.versions, version_id), "V2beta1PipelineVersion")

    @app.get(f"{api}/experiments")
    def list_experiments() -> Json:
        return listing(server.experiments.values(), "experiments", "V2beta1ListExperimentsResponse")

    @app.post(f"{api}/experiments")
    def create_experiment() -> Json:
        given = body("V2beta1Experiment")
        if any(item["display_name"] == given["display_name"] for item in server.experiments.values()):
            raise Refused(409, "the experiment already exists")
        experiment_id = str(uuid.uuid4())
        server.experiments[experiment_id] = {"experiment_id": experiment_id, "created_at": server.now(), **given}
        return answer(server.experiments[experiment_id], "V2beta1Experiment")

    @app.get(f"{api}/runs")
    def list_runs() -> Json:
        return listing(server.runs.values(), "runs", "V2beta1ListRunsResponse")

    @app.post(f"{api}/runs")
    def create_run() -> Json:
        given = body("V2beta1Run")
        _check_source(server, given)
        return answer(server.runs[server.add_run(given)], "V2beta1Run")

    @app.get(f"{api}/runs/<run_id>")
    def get_run(run_id: str) -> Json:
        return answer(_one(server.runs, run_id), "V2beta1Run")

    @app.get("/apis/v1alpha1/runs/<run_id>/nodes/<node_id>/log")
    def read_log(run_id: str, node_id: str) -> flask.Response:
        return flask.Response(_one(server.logs, node_id), mimetype="text/plain")

    @app.get(f"{api}/recurringruns")
    def list_recurring_runs() -> Json:
        return listing(server.recurring_runs.values(), "recurringRuns", "V2beta1ListRecurringRunsResponse")

    @app.post(f"{api}/recurringruns")
    def create_recurring_run() -> Json:
        given = body("V2beta1RecurringRun")
        _check_source(server, given)
        _check_trigger(given)
        recurring_id = str(uuid.uuid4())
        server.recurring_runs[recurring_id] = {
            "recurring_run_id": recurring_id,
            "created_at": server.now(),
            "status": "ENABLED" if given.get("mode") == "ENABLE" else "DISABLED",
            "service_account": "pipeline-runner",
            **{key: value for key, value in given.items() if value is not None},
        }
        return answer(server.recurring_runs[recurring_id], "V2beta1RecurringRun")

    @app.post(f"{api}/recurringruns/<name>")
    def change_mode(name: str) -> Json:
        recurring_id, _, verb = name.partition(":")
        item, is_enabled = _one(server.recurring_runs, recurring_id), verb == "enable"
        item.update(mode="ENABLE" if is_enabled else "DISABLE", status="ENABLED" if is_enabled else "DISABLED")
        return {}

    @app.delete(f"{api}/recurringruns/<recurring_id>")
    def delete_recurring_run(recurring_id: str) -> Json:
        _one(server.recurring_runs, recurring_id)
        del server.recurring_runs[recurring_id]
        if flask.request.args.get("propagation_policy") != "ORPHAN":
            # The garbage collector of Kubernetes takes the workflows that the schedule owns with it.
            for run in server.runs.values():
                if run.get("recurring_run_id") == recurring_id and run["state"] in ("PENDING", "RUNNING"):
                    run["state"] = "FAILED"
        return {}

    return app


def _error(error: Refused) -> flask.Response:
    value = {"code": _GRPC_CODES[error.status], "message": str(error), "error": str(error)}
    return flask.make_response(value, error.status)


def _one(items: dict[str, Any], key: str) -> Any:
    if key not in items:
        raise Refused(404, f"{key} not found")
    return items[key]


def _page(server: ApiServer, items: list[Json], key: str) -> Json:
    """As asked for by `filter`, `sort_by`, `page_size` and `page_token`; pages are short, so that there are some."""
    asked = flask.request.args
    for predicate in json.loads(asked.get("filter") or "{}").get("predicates", []):
        if predicate["operation"] not in ("EQUALS", 1) or len(predicate) != 3:
            raise Refused(400, f"cannot filter by {predicate}")
        items = [item for item in items if item.get(predicate["key"]) == predicate["stringValue"]]
    name, _, direction = (asked.get("sort_by") or "created_at").partition(" ")
    items = sorted(items, key=lambda item: item[name], reverse=direction == "desc")
    begin = int(asked.get("page_token") or 0)
    end = begin + min(server.page_size, int(asked.get("page_size") or 20))
    answer: Json = {key: items[begin:end], "total_size": len(items)}
    return {**answer, "next_page_token": str(end)} if end < len(items) else answer


def _specification(content: bytes) -> Json:
    documents = [document for document in yaml.safe_load_all(content) if document]
    specification = documents[0]
    if specification.get("schemaVersion") != "2.1.0":
        raise Refused(400, f"KFP only supports schema version 2.1.0, not {specification.get('schemaVersion')}")
    return {"pipeline_spec": specification, "platform_spec": documents[1]} if documents[1:] else specification


def _check_source(server: ApiServer, given: Json) -> None:
    if not given.get("display_name"):
        raise Refused(400, "the name is empty")
    _one(server.experiments, given["experiment_id"])
    reference, specification = given.get("pipeline_version_reference"), given.get("pipeline_spec")
    if bool(reference) == bool(specification):
        raise Refused(400, "exactly one of pipeline_spec and pipeline_version_reference is needed")
    if reference:
        specification = _one(server.versions, reference["pipeline_version_id"])["pipeline_spec"]
    specification = specification.get("pipeline_spec", specification)
    _check_parameters(specification, (given.get("runtime_config") or {}).get("parameters") or {})


def _check_parameters(specification: Json, given: Json) -> None:
    defined = specification["root"].get("inputDefinitions", {}).get("parameters", {})
    for name in given:
        if name not in defined:
            raise Refused(400, f"parameter {name} is not defined")
    for name, parameter in defined.items():
        if name not in given and "defaultValue" not in parameter and not parameter.get("isOptional"):
            raise Refused(400, f"parameter {name} is not optional, yet has neither default value nor user value")
        if name in given and not isinstance(given[name], _TYPES[parameter["parameterType"]]):
            raise Refused(400, f"input parameter {name} requires type {parameter['parameterType']}")


def _check_trigger(given: Json) -> None:
    cron = ((given.get("trigger") or {}).get("cron_schedule") or {}).get("cron", "")
    try:
        if len(cron.split()) != 6:
            # Five are taken by the real one, but nobody means what they say there.
            raise ConfigurationError("six fields are meant")
        parse_cron(cron)
    except ConfigurationError as error:
        raise Refused(400, f"Schedule cron is not a supported format. Error: {error}") from None
    if not 1 <= int(given.get("max_concurrency") or 0) <= 10:
        raise Refused(400, "max_concurrency must be between 1 and 10")


class _Quiet(WSGIRequestHandler):
    def log_request(self, *arguments: Any) -> None:
        pass


class Running:
    """The server while it listens."""

    def __init__(self, state: ApiServer) -> None:
        self._server = make_server("127.0.0.1", 0, make_app(state), threaded=True, request_handler=_Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
