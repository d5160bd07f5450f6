"""Tries a bucket as a push destination, and leaves nothing there: python -P -m components.pusher.probe s3://… or gs://…

For `infra/verify-cluster`: whether the credentials of a pod suffice, and whether the store refuses an object that is
there already when one asks for a new one, only a real bucket can show.
"""

import contextlib
import sys
import tempfile
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from components.pusher.buckets import Bucket, is_in_bucket
from components.pusher.publish import publish
from trainer.errors import ThawError
from trainer.features import LABEL_VOCABULARY

_FILES = ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001")
_OTHERS = {"assets.extra/inference-service.yaml": "probe"}


def probe(url: str) -> None:
    """Pushes two small models at once to a place of its own below `url`, and reads them back.

    Raises:
        ThawError: the bucket refuses, or is not as it must be.
    """
    if not is_in_bucket(url):
        raise ThawError(f"{url!r} is in no bucket; give s3://BUCKET/… or gs://BUCKET/…")
    bucket = Bucket(f"{url.rstrip('/')}/.thaw-probe-{uuid.uuid4().hex}")
    with tempfile.TemporaryDirectory(prefix="thaw-probe-") as folder:
        try:
            _push_and_read(bucket, Path(folder))
        except ThawError:
            with contextlib.suppress(Exception):  # what went wrong is told, not what follows from it
                bucket.remove()
            raise
    try:
        bucket.remove()
    except Exception as error:  # botocore, aiohttp and gcsfs each have their own
        raise ThawError(f"what was pushed cannot be removed: {' '.join(str(error).split())[:300]}") from error
    _check(not bucket.numbers(), "what was pushed and removed is there all the same")


def _push_and_read(bucket: Bucket, folder: Path) -> None:
    models = [_model(folder / name, name) for name in ("one", "two")]
    with ThreadPoolExecutor(len(models)) as threads:
        found = list(threads.map(lambda model: publish(model, bucket.url, lambda _: _OTHERS).version, models))
    _check(sorted(found) == ["1", "2"], f"two that pushed at once got the numbers {found}: one is lost")
    newest = models[found.index("2")]
    _check(not publish(newest, bucket.url).is_new, "what was pushed is not found again, so it is pushed each time")
    bucket.download(2, folder / "read")
    for name in _FILES:
        same = (folder / "read" / name).read_bytes() == Path(newest, name).read_bytes()
        _check(same, f"{name} is read back otherwise than it was written")


def _model(folder: Path, content: str) -> str:
    for name in (*_FILES, f"assets/{LABEL_VOCABULARY}"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{content} {name}", encoding="utf-8")
    return str(folder)


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ThawError(otherwise)


def main(arguments: Sequence[str]) -> int:
    """Says what is wrong on standard error.

    Returns:
        The exit status: 0 where the bucket will do.
    """
    try:
        (url,) = arguments
        probe(url)
    except ValueError:
        print("usage: python -P -m components.pusher.probe URL", file=sys.stderr)
        return 2
    except ThawError as error:
        print(f"thaw: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
