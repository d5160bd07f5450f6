"""One step: reads what Kubeflow asks for, runs driver and executor, and writes what came out."""

import argparse
import importlib
import inspect
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.kubeflow_entrypoint.lean_imports import skip_sibling_components
from trainer.errors import ConfigurationError, ThawError
from trainer.interruption import Interrupted
from trainer.progress import Progress, listening

FAILED, WRONG_USE, TERMINATED = 1, 2, 128 + signal.SIGTERM
TASK_URI = "--task_uri="
"""Flag for executors: the folder of the step in the store, the same for all attempts at it."""

_TERMINATION_LOG = Path("/dev/termination-log")


def main(arguments: Sequence[str]) -> int:
    """Runs a step.

    Returns:
        The exit status: 0 done, 2 wrong parameters, 143 stopped by SIGTERM, 1 failed for another reason.
    """
    options, flags = _parse(arguments)
    try:
        run(options, flags)
    except Interrupted as error:
        return _told(str(error), TERMINATED)
    except ConfigurationError as error:
        return _told(str(error), WRONG_USE)
    except ThawError as error:
        return _told(str(error), FAILED)
    except Exception as error:
        if type(error).__name__ == "ValidationError":  # pydantic's; not imported for this alone
            return _told(f"a parameter of the submission is not valid: {error}", WRONG_USE)
        traceback.print_exc()
        return _told(f"{type(error).__name__}: {error}", FAILED)
    return 0


def run(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Runs driver and executor, and writes the outputs' metadata last: what has it, is whole.

    Args:
        options: see `_parse`.
        flags: for the executor: Beam's options, and our own.

    Raises:
        ThawError: the step failed for a reason that the message explains.
    """
    skip_sibling_components()
    from components.kubeflow_entrypoint.exchange import executor_output, read_invocation

    invocation = read_invocation(options.json_serialized_invocation_args, options.json_serialized_inputs_spec_args)
    properties = dict(invocation.properties)
    if options.driver_class_path:
        properties |= _imported(options.driver_class_path).more_properties(invocation.inputs, properties)
    for (artifact,) in invocation.outputs.values():
        _empty(artifact.uri)
    with tempfile.TemporaryDirectory(prefix="thaw-") as temporary, listening(_Reporter()):
        context = [*flags, f"{TASK_URI}{invocation.task_uri}"]
        executor = _executor(_imported(options.executor_class_path), context, temporary)
        executor.Do(invocation.inputs, invocation.outputs, properties)
    _write(Path(invocation.output_file), executor_output(invocation))


def _parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(prog="components.kubeflow_entrypoint", allow_abbrev=False)
    parser.add_argument("--executor_class_path", required=True, metavar="MODULE.CLASS")
    parser.add_argument("--driver_class_path", metavar="MODULE.CLASS", help="adds properties before the executor runs")
    parser.add_argument("--json_serialized_invocation_args", required=True, metavar="JSON", help="an ExecutorInput")
    parser.add_argument(
        "--json_serialized_inputs_spec_args", required=True, metavar="JSON", help="a ComponentInputsSpec"
    )
    return parser.parse_known_args(list(arguments))


def _imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _executor(kind: Any, flags: list[str], temporary: str) -> Any:
    """An executor with what TFX's launcher gives it; those of Beam take the flags under another name."""
    wants_beam = "beam_pipeline_args" in inspect.signature(kind.Context.__init__).parameters
    name = "beam_pipeline_args" if wants_beam else "extra_flags"
    given = [flag for flag in flags if not flag.startswith(TASK_URI)] if wants_beam else flags
    return kind(kind.Context(**{name: given}, tmp_dir=temporary, unique_id="0"))


def _empty(folder: str) -> None:
    """What a killed attempt has left in the same place would else become part of this one."""
    if os.path.isdir(folder):
        shutil.rmtree(folder)
    os.makedirs(folder)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.partial")
    temporary.write_text(text, encoding="utf-8")
    temporary.rename(path)


class _Reporter:
    """Prints what is said in words, such as an epoch's losses, for the pod's log."""

    def __call__(self, progress: Progress) -> None:
        if progress.note:
            print(progress.note, flush=True)


def _told(message: str, status: int) -> int:
    """Says it where the log is read, and where `kubectl describe pod` looks."""
    print(f"thaw: {message}", file=sys.stderr, flush=True)
    if _TERMINATION_LOG.is_file() and os.access(_TERMINATION_LOG, os.W_OK):
        _TERMINATION_LOG.write_text(message, encoding="utf-8")
    return status
