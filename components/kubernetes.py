"""Kubernetes as a configuration speaks of it: names, quantities, and claims that are mounted into a container."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

from trainer.base_settings import Settings


def _absolute_in_container(path: str) -> str:
    if not path.startswith("/") or path == "/" or ":" in path:
        raise ValueError("must be an absolute path in the container, and not /")
    return path.rstrip("/")


Cpu = Annotated[str, Field(pattern=r"^([0-9]+(\.[0-9]+)?|[0-9]+m)$")]
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(E|Ei|P|Pi|T|Ti|G|Gi|M|Mi|K|Ki)?$")]
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
MountPath = Annotated[str, AfterValidator(_absolute_in_container)]


class Volume(Settings):
    """A persistent volume claim, mounted.

    Attributes:
        claim: name of the claim.
        mount_path: where it appears in the container.
        sub_path: the folder of the volume that appears there; "" for all of it.
    """

    claim: ObjectName
    mount_path: MountPath
    sub_path: str = ""


@dataclass(frozen=True)
class OnClaim:
    """A place on a volume, whoever mounts it.

    Attributes:
        claim: name of the claim.
        path: below the root of the volume; "" for that itself.
    """

    claim: str
    path: str

    @property
    def uri(self) -> str:
        """As KServe writes it."""
        return f"pvc://{self.claim}/{self.path}".rstrip("/")


def on_claim(path: str, volumes: Sequence[Volume]) -> OnClaim | None:
    """Which claim holds a path of the container, and where; None where no volume is mounted there.

    A volume that is mounted below another one hides what that has there.
    """
    place = PurePosixPath(posixpath.normpath(path))
    holding = [volume for volume in volumes if place.is_relative_to(volume.mount_path)]
    if not holding:
        return None
    nearest = max(holding, key=lambda volume: len(PurePosixPath(volume.mount_path).parts))
    below = place.relative_to(nearest.mount_path)
    inside = PurePosixPath(nearest.sub_path.strip("/"), below)
    return OnClaim(nearest.claim, "" if inside == PurePosixPath() else str(inside))
