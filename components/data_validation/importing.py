"""A schema that people keep and review, in place of an inferred one."""

import hashlib
from pathlib import Path

from tfx import types
from tfx.components.schema_gen.import_schema_gen import executor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from trainer.errors import ConfigurationError


class ImportSchemaSpec(component_spec.ComponentSpec):
    """Interface of ImportSchema: TFX's ImportSchemaGen, plus the digest without which the cache sees only the path."""

    PARAMETERS = {
        "schema_file": component_spec.ExecutionParameter(type=str),
        "schema_sha256": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: dict[str, component_spec.ChannelParameter] = {}
    OUTPUTS = {"schema": component_spec.ChannelParameter(type=standard_artifacts.Schema)}


class ImportSchema(base_component.BaseComponent):
    """Copies a `schema.pbtxt` into the pipeline."""

    SPEC_CLASS = ImportSchemaSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, schema_file: str) -> None:
        """Makes the component.

        Args:
            schema_file: path of a text-format Schema.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        try:
            digest = hashlib.sha256(Path(schema_file).read_bytes()).hexdigest()
        except OSError as error:
            raise ConfigurationError(f"data.schema: cannot read {schema_file!r}: {error.strerror}") from error
        spec = ImportSchemaSpec(
            schema_file=schema_file,
            schema_sha256=digest,
            schema=types.Channel(type=standard_artifacts.Schema),
        )
        super().__init__(spec=spec)
