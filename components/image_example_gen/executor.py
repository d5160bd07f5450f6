"""Reads the photographs with Beam and writes examples by split; see `component` for the interface."""

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import apache_beam as beam
import tensorflow as tf
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils

from components.beam_workers import in_sight_of_workers
from components.image_example_gen import distributing, policy, quarantine, staging
from components.image_example_gen.duplicates.grouping import components_of
from components.image_example_gen.duplicates.pairs import Found, find_pairs
from components.image_example_gen.facts import Facts
from components.image_example_gen.quarantine import Account
from components.image_example_gen.report.writing import write_report
from components.image_example_gen.settings import IngestionSettings
from components.image_example_gen.sources.entry import Listing
from components.image_example_gen.sources.opening import open_source
from components.image_example_gen.splitting import SPLITS, SplitShare, assign
from components.image_example_gen.staging import StagedChunk


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes `examples` and `quarantine`, or fails with a message if they are not fit for training."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        settings = IngestionSettings.model_validate_json(exec_properties["settings"])
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        report = artifact_utils.get_single_instance(output_dict["quarantine"])
        # What a killed attempt has left in the same place would else become part of this one.
        for output in (examples, report):
            _empty(output.uri)
        examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
        with in_sight_of_workers(self, {}, {"examples": [examples]}):
            account = self._ingest(settings, examples, report.uri)
        examples.set_string_custom_property("spans", ", ".join(account.spans))
        report.set_int_custom_property("num_refused", len(account.refused))
        report.set_int_custom_property("num_accepted", account.num_accepted)
        policy.enforce(account, SPLITS, settings)

    def _ingest(self, settings: IngestionSettings, examples: types.Artifact, report_folder: str) -> Account:
        # Beside the splits' folders, in the artifact: on the same disk, and gone with it.
        folder = os.path.join(examples.uri, ".staging")
        tf.io.gfile.makedirs(folder)
        listing, chunks = self._stage(settings, folder)
        photographs = [facts for chunk in chunks for facts in chunk.accepted]
        # Some hundred bytes each, so this needs no Beam: its own work per photograph would take far longer than ours.
        found = find_pairs({facts.path: facts.signature for facts in photographs if facts.signature is not None})
        alike = components_of(found.pairs) if settings.near_duplicates == "together" else {}
        splits = assign(photographs, _shares(settings), alike, stratify=settings.stratify)
        self._distribute(chunks, splits, folder, examples)
        account = _account(listing, chunks, found, splits)
        quarantine.write(account, report_folder)
        write_report(account, chunks, splits, folder, report_folder)
        tf.io.gfile.rmtree(folder)
        return account

    def _stage(self, settings: IngestionSettings, folder: str) -> tuple[Listing, list[StagedChunk]]:
        source = open_source(settings)
        listing = source.list_entries()
        chunks = staging.chunks_of(listing.entries)
        with self._make_beam_pipeline() as pipeline:
            (
                pipeline
                | "Chunks" >> beam.Create(chunks)
                | "Photographs" >> staging.StagePhotographs(source, settings, folder, len(listing.entries))
            )
        return listing, staging.read_staged(folder, len(chunks))

    def _distribute(
        self, chunks: Sequence[StagedChunk], splits: dict[str, str], folder: str, examples: types.Artifact
    ) -> None:
        elements = [
            distributing.ChunkSplits(
                chunk.index, chunk.num_chunks, tuple(splits[facts.path] for facts in chunk.accepted)
            )
            for chunk in chunks
        ]
        split_folders = {split: artifact_utils.get_split_uri([examples], split) for split in SPLITS}
        with self._make_beam_pipeline() as pipeline:
            (
                pipeline
                | "Chunks" >> beam.Create(elements)
                | "Distribute" >> distributing.Distribute(folder, split_folders)
            )


def _empty(folder: str) -> None:
    if os.path.isdir(folder):
        shutil.rmtree(folder)
    os.makedirs(folder)


def _shares(settings: IngestionSettings) -> tuple[SplitShare, ...]:
    return tuple(SplitShare(name, weight) for name, weight in settings.splits.model_dump().items())


def _account(listing: Listing, chunks: Sequence[StagedChunk], found: Found, splits: dict[str, str]) -> Account:
    photographs: list[Facts] = [facts for chunk in chunks for facts in chunk.accepted]
    refused = [*listing.rejected, *(item for chunk in chunks for item in chunk.refused)]
    account = Account(
        accepted=Counter((splits[facts.path], facts.label) for facts in photographs),
        refused=tuple(sorted(refused, key=lambda item: item.path)),
        ignored=listing.ignored,
        formats=Counter(facts.format for facts in photographs),
        num_normalised=sum(facts.is_normalised for facts in photographs),
        duplicates=tuple(quarantine.find_duplicates(photographs, found.pairs, splits)),
        num_unchecked=sum(item.num_comparisons for item in found.unchecked),
        spans=listing.spans,
    )
    return replace(account, warnings=tuple(policy.warnings(account)))
