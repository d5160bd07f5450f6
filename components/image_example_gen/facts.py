"""What is known of every accepted photograph once it was read."""

from dataclasses import dataclass

from components.image_example_gen.duplicates.signature import Signature


@dataclass(frozen=True)
class Facts:
    """One accepted photograph, without its bytes.

    Attributes:
        path: names it in the source.
        label: its class.
        split: its given split; None where it is to be assigned.
        group: stays in one split; None where there is none.
        content_sha256: hex digest of the file as it came.
        format: of the file as it came.
        is_normalised: whether the example holds a PNG in its place.
        width_px: of the stored pixels.
        height_px: of the stored pixels.
        num_bytes: of the file as it came.
        signature: what near-duplicates are found by; None where they are not looked for.
    """

    path: str
    label: str
    split: str | None
    group: str | None
    content_sha256: str
    format: str
    is_normalised: bool
    width_px: int
    height_px: int
    num_bytes: int
    signature: Signature | None
