"""One line in the log for each push, for whoever applies manifests: its form is documented and does not change."""

import json
import sys

from components.pusher.publish import Publication

MARK = "THAW_PUSHED"


def announce(publication: Publication) -> None:
    """Writes `THAW_PUSHED {"version": …, "uri": …, "is_new": …}` to standard error, on a line of its own."""
    said = {"version": publication.version, "uri": publication.uri, "is_new": publication.is_new}
    print(f"{MARK} {json.dumps(said)}", file=sys.stderr, flush=True)
