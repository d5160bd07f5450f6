"""Whether further flags for Beam are known to it."""

import contextlib
import difflib
import io
from collections.abc import Sequence
from typing import Any

# What the configuration has keys for, and what thaw sets itself.
_KEYS = {
    "--runner": "runner",
    "--direct_running_mode": "direct_running_mode",
    "--direct_num_workers": "direct_num_workers",
    "--job_endpoint": "job_endpoint",
    "--artifact_endpoint": "artifact_endpoint",
    "--parallelism": "parallelism",
    "--environment_type": "workers",
    "--environment_config": "workers",
    "--environment_option": "workers",
    "--environment_options": "workers",
    "--sdk_container_image": "workers.image",
    "--worker_harness_container_image": "workers.image",
    "--setup_file": "setup_file",
    "--project": "project",
    "--region": "region",
    "--temp_location": "temp_location",
    "--num_workers": "num_workers",
    "--max_num_workers": "max_num_workers",
}


def check_options(options: Sequence[str]) -> None:
    """Compares flags with Beam's own parser, which is imported only if there are some: that takes seconds.

    Raises:
        ValueError: a flag is unknown, has a value that it cannot have, or has a key of its own in the configuration.
    """
    for option in options:
        name = option.split("=", 1)[0]
        if not name.startswith("--"):
            raise ValueError(f"{option!r} must begin with --, such as --sdk_worker_parallelism=4")
        if name in _KEYS:
            raise ValueError(f"{option!r} is said by a key of its own: infrastructure.beam.{_KEYS[name]}")
    if options:
        _parse(options)


def _parse(options: Sequence[str]) -> None:
    parser = _parser_of_beam()
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            _, unknown = parser.parse_known_args(list(options))
    except SystemExit:
        raise ValueError(f"is not what Beam takes: {told.getvalue().rsplit('error: ', 1)[-1].strip()}") from None
    if unknown:
        name = unknown[0].split("=", 1)[0]
        names = [text for action in parser._actions for text in action.option_strings]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; nearest: {near[0]}" if near else ""
        raise ValueError(f"{unknown[0]!r} is no option of Beam's{hint}")


def _parser_of_beam() -> Any:
    """Beam hands its parser, with the options of all its parts, to whoever wants to add some."""
    from apache_beam.options.pipeline_options import PipelineOptions

    found: list[Any] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=found.append)
    return found[0]
