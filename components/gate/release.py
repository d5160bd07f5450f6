"""What is pushed: a copy of the approved model with what a model server and a reader want beside it."""

import os
import shutil
from pathlib import Path

from components.gate.warm_up import EXTRA_ASSETS, FILE_NAME


def write_release(saved_model: str, warm_up: Path, target: str) -> None:
    """Copies a SavedModel, with the warm-up requests in `assets.extra`.

    Args:
        saved_model: folder of the model; files become hard links where the file system can, so that nothing is there
            twice.
        warm_up: file of warm-up requests.
        target: folder to make.
    """
    shutil.copytree(saved_model, target, copy_function=_link_or_copy, dirs_exist_ok=True)
    extra = Path(target) / EXTRA_ASSETS
    extra.mkdir(exist_ok=True)
    shutil.copyfile(warm_up, extra / FILE_NAME)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
