"""Reads the images with Beam and writes examples by split; see `component` for the interface."""

import json
import os
from typing import Any

import apache_beam as beam
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils
from tfx.utils import proto_utils

from components.image_example_gen import policy, quarantine, writing
from components.image_example_gen.quarantine import Account, Refused
from components.image_example_gen.source import list_images
from components.image_example_gen.splitting import SplitShare


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes `examples` and `quarantine`, or fails with a message if they are not fit for training."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        report = artifact_utils.get_single_instance(output_dict["quarantine"])
        shares = split_shares(exec_properties)
        splits = [share.name for share in shares] if shares else list(input_patterns(exec_properties))
        examples.split_names = artifact_utils.encode_split_names(splits)
        listing = list_images(exec_properties["input_base"], input_patterns(exec_properties))
        settings = writing.WriteExamples(
            images=exec_properties["input_base"],
            split_folders={split: artifact_utils.get_split_uri([examples], split) for split in splits},
            shares=shares,
            max_pixels=exec_properties["max_image_pixels"],
            num_files=len(listing.files),
        )
        account_file = os.path.join(report.uri, "account.json")
        with self._make_beam_pipeline() as pipeline:
            (
                pipeline
                | "Files" >> beam.Create(writing.chunks_of(listing.files))
                | "WriteExamples" >> settings
                | "AddUp" >> beam.CombineGlobally(quarantine.add_up)
                | "WriteAccount" >> beam.Map(_write_account, account_file)
            )
        account = _read_account(account_file)
        quarantine.write(account, listing.ignored, report.uri)
        report.num_refused = len(account.refused)
        report.num_accepted = account.num_accepted
        policy.enforce(account, splits, exec_properties["max_refused_fraction"])


def input_patterns(exec_properties: dict[str, Any]) -> dict[str, str]:
    """Pattern of each input split, by its name."""
    input_config = example_gen_pb2.Input()
    proto_utils.json_to_proto(exec_properties["input_config"], input_config)
    return {split.name: split.pattern for split in input_config.splits}


def split_shares(exec_properties: dict[str, Any]) -> tuple[SplitShare, ...] | None:
    """The output splits by hash buckets, or None where the input splits are kept."""
    output_config = example_gen_pb2.Output()
    proto_utils.json_to_proto(exec_properties["output_config"], output_config)
    splits = output_config.split_config.splits
    return tuple(SplitShare(split.name, split.hash_buckets) for split in splits) or None


def _write_account(account: Account, path: str) -> None:
    content = {
        "accepted": [[split, label, count] for (split, label), count in sorted(account.accepted.items())],
        "refused": [vars(item) for item in account.refused],
    }
    with beam.io.filesystems.FileSystems.create(path, mime_type="application/json") as file:
        file.write(json.dumps(content).encode())


def _read_account(path: str) -> Account:
    with beam.io.filesystems.FileSystems.open(path) as file:
        content = json.loads(file.read())
    beam.io.filesystems.FileSystems.delete([path])
    account = Account(refused=[Refused(**item) for item in content["refused"]])
    account.accepted.update({(split, label): count for split, label, count in content["accepted"]})
    return account
