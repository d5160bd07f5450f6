"""What is pushed: a copy of the approved model with what a model server and a reader want beside it."""

import os
import shutil
from pathlib import Path

from components.gate.report.content import ReportContent
from components.gate.report.model_card import write_model_card
from components.gate.verdict_schema import Subject
from components.gate.warm_up import FILE_NAME
from components.release_names import EXTRA_ASSETS


def write_release(saved_model: str, warm_up: Path, content: ReportContent, subject: Subject, target: str) -> None:
    """Copies a SavedModel, with the warm-up requests and the model card in `assets.extra`, which is no part of it.

    Args:
        saved_model: folder of the model; files become hard links where the file system can, so that nothing is there
            twice.
        warm_up: file of warm-up requests.
        content: of the report, which the card is written from.
        subject: which model it is.
        target: folder to make.
    """
    shutil.copytree(saved_model, target, copy_function=_link_or_copy, dirs_exist_ok=True)
    extra = Path(target) / EXTRA_ASSETS
    extra.mkdir(exist_ok=True)
    shutil.copyfile(warm_up, extra / FILE_NAME)
    write_model_card(content, subject, extra)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
