"""The way to the API of Kubeflow Pipelines: addresses and credentials in, a client out.

Credentials never come from a configuration or an option, whose values end in shell histories and logs:

- `THAW_KFP_TOKEN`, or `THAW_KFP_TOKEN_FILE`, a file that is read again for each request (a projected token);
- `THAW_KFP_COOKIES`, of a session behind a login page;
- `KF_PIPELINES_IAP_OAUTH2_CLIENT_ID` and its likes, as `kfp.Client` reads them, for Google's Identity-Aware Proxy;
- a kubeconfig, where there is no host; the service account's token in a pod of the cluster.
"""

import contextlib
import functools
import io
import json
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.errors import ConfigurationError, ThawError

TOKEN, TOKEN_FILE, COOKIES = "THAW_KFP_TOKEN", "THAW_KFP_TOKEN_FILE", "THAW_KFP_COOKIES"
_CONNECT_TIMEOUT_S = 10
_READ_TIMEOUT_S = 60
_NUM_ATTEMPTS = 4
_LONGEST_PAUSE_S = 8.0
_PASSING = (429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Connection:
    """Where the API is.

    Attributes:
        host: its URL; None for that of a kubeconfig, or of the cluster that this runs in.
        namespace: of the pipelines; a profile's where several teams share a cluster.
        kube_context: of the kubeconfig; None for the current one.
        ca_file: certificates to trust in place of the usual ones.
        read_timeout_s: how long an answer may take.
    """

    host: str | None = None
    namespace: str = "kubeflow"
    kube_context: str | None = None
    ca_file: Path | None = None
    read_timeout_s: float = _READ_TIMEOUT_S


class NotFoundError(ThawError):
    """The server has no such thing."""


class AlreadyThereError(ThawError):
    """The server has a thing of that name already."""


@contextlib.contextmanager
def connected(connection: Connection) -> Iterator[Any]:
    """A `kfp.Client` whose errors are told in words, and which waits and asks again where that may help.

    Raises:
        ConfigurationError: the credentials are contradictory or cannot be read.
        ThawError: the server cannot be reached, or has refused; from inside the block, too.
    """
    with _telling(connection), _quietly():
        yield _client(connection)


def _client(connection: Connection) -> Any:
    import kfp

    class Client(kfp.Client):
        def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
            # The original logs each failure with its stack trace and tries five times, whatever the reason.
            limits = (_CONNECT_TIMEOUT_S, connection.read_timeout_s)
            return self._healthz_api.healthz_service_get_healthz(_request_timeout=limits)

        def _load_config(self, *arguments: Any, **options: Any) -> Any:
            config = super()._load_config(*arguments, **options)
            if not connection.host and not os.environ.get("KF_PIPELINES_ENDPOINT") and "localhost" in config.host:
                raise ConfigurationError(
                    "there is neither a kubeconfig nor a host of Kubeflow Pipelines; say --host, or set "
                    "KF_PIPELINES_ENDPOINT or KUBECONFIG"
                )
            return config

        def read_log(self, run_id: str, pod: str) -> str:
            """The log of a step's container, as far as its pod or the log's archive is still there."""
            answer = self._run_api.api_client.call_api(
                "/apis/v1alpha1/runs/{run_id}/nodes/{node_id}/log",
                "GET",
                path_params={"run_id": run_id, "node_id": pod},
                header_params={"Accept": "text/plain"},
                auth_settings=["Bearer"],
                _preload_content=False,
                _return_http_data_only=True,
            )
            return str(answer.data.decode(errors="replace"))

        def _add_limits(self) -> None:
            api_client = self._run_api.api_client  # the one that all of its parts share
            api_client.call_api = _patient(api_client.call_api, connection.read_timeout_s)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = Client(
            host=connection.host,
            namespace=connection.namespace,
            kube_context=connection.kube_context,
            ssl_ca_cert=str(connection.ca_file) if connection.ca_file else None,
            **_credentials(),
        )
    client._add_limits()
    return client


def _credentials() -> dict[str, Any]:
    given = [name for name in (TOKEN, TOKEN_FILE) if os.environ.get(name)]
    if len(given) > 1:
        raise ConfigurationError(f"{TOKEN} and {TOKEN_FILE} are both set; unset one")
    found: dict[str, Any] = {}
    if TOKEN in given:
        found["existing_token"] = os.environ[TOKEN].strip()
    if TOKEN_FILE in given:
        found["credentials"] = _TokenFile(Path(os.environ[TOKEN_FILE]))
    if os.environ.get(COOKIES):
        found["cookies"] = os.environ[COOKIES]
    return found


class _TokenFile:
    """What kfp calls TokenCredentialsBase; a projected token is replaced every hour or so."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.get_token()

    def get_token(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigurationError(f"{TOKEN_FILE}: cannot read {str(self._path)!r}: {error.strerror}") from None

    def refresh_api_key_hook(self, config: Any) -> None:
        config.api_key["authorization"] = self.get_token()


def _patient(call_api: Callable[..., Any], read_timeout_s: float) -> Callable[..., Any]:
    """`call_api` with time limits, and asked again where the failure may pass and asking twice does no harm.

    What makes something is asked for once: whether it was made, only looking can tell.
    """
    import tenacity
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError

    def may_pass(error: BaseException) -> bool:
        return isinstance(error, HTTPError) or (isinstance(error, ApiException) and error.status in _PASSING)

    @functools.wraps(call_api)
    def call(resource_path: str, method: str, *arguments: Any, **options: Any) -> Any:
        options["_request_timeout"] = options.get("_request_timeout") or (_CONNECT_TIMEOUT_S, read_timeout_s)
        is_repeatable = method != "POST" or resource_path.endswith((":enable", ":disable"))
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(may_pass),
            stop=tenacity.stop_after_attempt(_NUM_ATTEMPTS if is_repeatable else 1),
            wait=tenacity.wait_exponential(multiplier=0.2, max=_LONGEST_PAUSE_S),
            reraise=True,
        )
        return attempts(call_api, resource_path, method, *arguments, **options)

    return call


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keeps links to pages of the user interface, which the client prints, off the screen."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


@contextlib.contextmanager
def _telling(connection: Connection) -> Iterator[None]:
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError

    where = connection.host or os.environ.get("KF_PIPELINES_ENDPOINT") or "the cluster"
    try:
        yield
    except ApiException as error:
        raise _in_words(error, where) from error
    except HTTPError as error:
        reason = getattr(error, "reason", None) or error
        raise ThawError(
            f"Kubeflow Pipelines at {where} does not answer: {_without_secrets(str(reason))}; check the address, the "
            "network, and whether a port-forward still runs"
        ) from error


def _in_words(error: Any, where: str) -> ThawError:
    said = _message(error.body) or str(error.reason or "")
    if error.status in (401, 403):
        return ThawError(
            f"Kubeflow Pipelines at {where} refuses the credentials ({error.status}): {said}; set {TOKEN} or "
            f"{TOKEN_FILE}, and check that its owner may use the namespace"
        )
    if error.status == 404:
        return NotFoundError(f"Kubeflow Pipelines at {where} has no such thing: {said}")
    if error.status == 409:
        return AlreadyThereError(f"Kubeflow Pipelines at {where} has that already: {said}")
    return ThawError(f"Kubeflow Pipelines at {where} answered {error.status}: {said}")


def _message(body: Any) -> str:
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    if isinstance(data, dict):
        text = str(data.get("message") or data.get("error_message") or data.get("error") or text)
    return _without_secrets(" ".join(text.split())[:400])


def _without_secrets(text: str) -> str:
    for name in (TOKEN, COOKIES):
        secret = os.environ.get(name, "").strip()
        text = text.replace(secret, "…") if secret else text
    return text
