"""A server that speaks Google Cloud Storage's JSON API: gcp-storage-emulator, with the precondition that it lacks.

`ifGenerationMatch=0` asks that an object be made only if it is not there yet; a real bucket answers 412 where it is
(https://cloud.google.com/storage/docs/request-preconditions). What kind of bucket it is (with a hierarchy, zonal) gcsfs
asks by gRPC over TLS, which nothing here speaks: `plain_buckets` answers in its place, as for an ordinary bucket.
"""

import json
import threading
from functools import partial
from http.server import HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage

_REFUSED = "At least one of the pre-conditions you specified did not hold."


class _ConditionNotMet(Exception):
    """The object is there already."""


class _Storage(Storage):
    """Requests come one after the other, so that what one of them asks for can be kept here."""

    must_be_new = False

    def create_file(self, bucket_name: str, file_name: str, *rest: Any, **more: Any) -> None:
        if self.must_be_new and file_name in self.objects.get(bucket_name, {}):
            raise _ConditionNotMet
        super().create_file(bucket_name, file_name, *rest, **more)


class _Handler(RequestHandler):
    def do_POST(self) -> None:
        self.storage.must_be_new = parse_qs(urlparse(self.path).query).get("ifGenerationMatch") == ["0"]
        try:
            super().do_POST()
        except _ConditionNotMet:
            said = {"error": {"code": 412, "message": _REFUSED, "errors": [{"reason": "conditionNotMet"}]}}
            content = json.dumps(said).encode()
            self.send_response(412)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        finally:
            self.storage.must_be_new = False


class Running:
    """A server in this process, on a port of its own, with nothing in it.

    Attributes:
        url: for STORAGE_EMULATOR_HOST.
    """

    def __init__(self) -> None:
        self._server = HTTPServer(("127.0.0.1", 0), partial(_Handler, _Storage(use_memory_fs=True)))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def plain_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every bucket is an ordinary one; see above."""
    from gcsfs import extended_gcsfs

    async def kind(self: object, bucket: str) -> object:
        return extended_gcsfs.BucketType.NON_HIERARCHICAL

    monkeypatch.setattr(extended_gcsfs.ExtendedGcsFileSystem, "_get_bucket_type", kind)
