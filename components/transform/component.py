"""TFX's Transform with an executor made for images."""

from typing import Any

from tfx import types
from tfx.components.transform import component
from tfx.dsl.components.base import executor_spec

from components.digest import code_digest
from components.transform import executor


class Transform(component.Transform):
    """Applies `trainer.preprocessing.preprocessing_fn`; see `executor` for what differs from TFX's own."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(self, examples: types.BaseChannel, schema: types.BaseChannel, settings: dict[str, Any]) -> None:
        """Makes the component.

        Args:
            examples: raw examples.
            schema: of the raw examples.
            settings: given to the preprocessing function; the code's digest joins them for the cache to see.
        """
        super().__init__(
            examples=examples,
            schema=schema,
            preprocessing_fn="trainer.preprocessing.preprocessing_fn",
            custom_config={
                **settings,
                "code_digest": code_digest(executor.__name__, "trainer.preprocessing"),
            },
            disable_statistics=True,
            disable_analyzer_cache=True,
        )
