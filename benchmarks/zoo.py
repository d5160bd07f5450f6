"""Every form in which people have a photograph, made from one that scikit-learn brings along."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

HEIGHT_PX, WIDTH_PX = 61, 83
ORIENTATIONS = range(1, 9)
BACKGROUND = (10, 200, 90)

# Forms that are taken as they are; their names are those of `make_zoo`.
AS_IS = ("jpeg", "png", "webp_lossy", "webp_lossless", "webp_alpha", "webp_lossy_alpha", "bmp24", "bmp32", "apng")


def photograph() -> np.ndarray:
    """uint8 [61, 83, 3]: odd sizes, since edges are where decoders differ."""
    return np.ascontiguousarray(load_sample_image("china.jpg")[100 : 100 + HEIGHT_PX, 200 : 200 + WIDTH_PX])


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """The bytes of a file, by Pillow."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def png(values: np.ndarray, colour_type: int, bit_depth: int = 8, interlaced: bool = False, **chunks: bytes) -> bytes:
    """A PNG by hand, for what Pillow cannot write: 16 bits of colour, interlacing.

    Args:
        values: [height, width] or [height, width, channels] of uint8 or uint16; of fewer than 8 bits, not packed yet.
        colour_type: as in the header.
        bit_depth: bits per sample.
        interlaced: by Adam7.
        **chunks: content of further chunks before the data, by name.
    """
    height, width = values.shape[:2]
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    data = b""
    for top, left, down, across in passes if interlaced else [(0, 0, 1, 1)]:
        part = values[top::down, left::across]
        if part.size:
            data += b"".join(b"\0" + _packed(row, bit_depth) for row in part)
    header = struct.pack(">LLBBBBB", width, height, bit_depth, colour_type, 0, 0, interlaced)
    body = [("IHDR", header), *chunks.items(), ("IDAT", zlib.compress(data)), ("IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(name.encode(), content) for name, content in body)


def _packed(row: np.ndarray, bit_depth: int) -> bytes:
    if bit_depth >= 8:
        return row.astype(">u2" if bit_depth == 16 else "u1").tobytes()
    bits = np.unpackbits(row.astype(np.uint8)[..., None], axis=-1)[:, -bit_depth:]
    return np.packbits(bits.reshape(-1)).tobytes()


def png_chunk(name: bytes, content: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))


def exif(orientation: int, order: str = "<") -> bytes:
    """The body of EXIF data with a camera's name, the orientation and a resolution; order "<" or ">"."""
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", 8)
    entries = [(0x010F, 2, 12, struct.pack(order + "L", 62)), (0x0112, 3, 1, struct.pack(order + "HH", orientation, 0))]
    entries += [(0x011A, 5, 1, struct.pack(order + "L", 74)), (0x0128, 3, 1, struct.pack(order + "HH", 2, 0))]
    table = b"".join(struct.pack(order + "HHL", tag, kind, count) + value for tag, kind, count, value in entries)
    return start + struct.pack(order + "H", 4) + table + bytes(4) + b"A camera #1\0" + struct.pack(order + "LL", 72, 1)


def jpeg_with_exif(jpeg: bytes, body: bytes) -> bytes:
    """Puts EXIF data behind the first segment of a JPEG."""
    end = 4 + int.from_bytes(jpeg[4:6], "big")
    payload = b"Exif\0\0" + body
    return jpeg[:end] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + jpeg[end:]


def wide(values: np.ndarray) -> np.ndarray:
    """8 bits to 16, with low bytes that are not those of the high ones."""
    noise = np.random.default_rng(0).integers(-128, 129, values.shape)
    return np.clip(values.astype(int) * 257 + noise, 0, 65535).astype(np.uint16)


def narrow(values: np.ndarray) -> np.ndarray:
    """The nearest 8 bits, in floating point, as a check on the arithmetic of the product."""
    return np.rint(values / 257).astype(np.uint8)


def laid_onto(colours: np.ndarray, alpha: np.ndarray, background: tuple[int, int, int] = BACKGROUND) -> np.ndarray:
    """Alpha compositing in floating point: uint8 [height, width, 3]."""
    share = alpha[..., None].astype(float) / 255
    return np.rint(colours * share + np.array(background) * (1 - share)).astype(np.uint8)


def transparent(image: Image.Image) -> Image.Image:
    """With alpha from 0 to 255 from left to right."""
    layered = image.convert("RGBA")
    alpha = np.tile(np.linspace(0, 255, image.width).astype(np.uint8), (image.height, 1))
    layered.putalpha(Image.fromarray(alpha))
    return layered


def make_zoo() -> dict[str, bytes]:
    """All forms by name; what starts with a name in `AS_IS` is taken as it is."""
    image = Image.fromarray(photograph())
    return {**_jpegs(image), **_pngs(image), **_webps(image), **_gifs_and_bmps(image), **_tiffs(image)}


def _jpegs(image: Image.Image) -> dict[str, bytes]:
    plain = encode(image, "JPEG", quality=90)
    forms = {
        "jpeg": plain,
        "jpeg_progressive": encode(image, "JPEG", progressive=True),
        "jpeg_no_subsampling": encode(image, "JPEG", subsampling=0),
        "jpeg_worst": encode(image, "JPEG", quality=5),
        "jpeg_restarts": encode(image, "JPEG", restart_marker_rows=1),
        "jpeg_rgb": encode(image, "JPEG", keep_rgb=True),
        "jpeg_grey": encode(image.convert("L"), "JPEG"),
        "jpeg_mpo": encode(image, "MPO", save_all=True, append_images=[image.rotate(180)]),
        "cmyk_jpeg": encode(image.convert("CMYK"), "JPEG"),
    }
    for orientation in ORIENTATIONS:
        for order, name in (("<", "little"), (">", "big")):
            forms[f"jpeg_turned_{orientation}_{name}"] = jpeg_with_exif(plain, exif(orientation, order))
    return forms


def _pngs(image: Image.Image) -> dict[str, bytes]:
    pixels, grey, palette = np.asarray(image), image.convert("L"), image.quantize(64)
    grey_wide = Image.fromarray(wide(np.asarray(grey)))
    layered = transparent(image)
    return {
        "png": encode(image, "PNG"),
        "png_palette": encode(palette, "PNG"),
        "png_palette_4": encode(image.quantize(16), "PNG", bits=4),
        "png_palette_trns": encode(palette, "PNG", transparency=bytes(range(0, 256, 4))),
        "png_1": encode(image.convert("1"), "PNG"),
        "png_grey": encode(grey, "PNG"),
        "png_grey_trns": encode(grey, "PNG", transparency=int(grey.getpixel((0, 0)))),
        "png_rgb_trns": encode(image, "PNG", transparency=image.getpixel((0, 0))),
        "png_grey16": encode(grey_wide, "PNG"),
        "png_grey16_trns": encode(grey_wide, "PNG", transparency=int(grey_wide.getpixel((0, 0)))),
        "png_grey_alpha": encode(layered.convert("LA"), "PNG"),
        "png_alpha": encode(layered, "PNG"),
        "png_interlaced": png(pixels, 2, interlaced=True),
        "png_interlaced_alpha": png(np.asarray(layered), 6, interlaced=True),
        "png_interlaced_1": png(np.asarray(image.convert("1")).astype(np.uint8), 0, 1, interlaced=True),
        "apng": encode(image, "PNG", save_all=True, append_images=[image.rotate(180)]),
        **{f"turned_png_{turn}": encode(image, "PNG", exif=b"Exif\0\0" + exif(turn)) for turn in ORIENTATIONS},
    }


def _webps(image: Image.Image) -> dict[str, bytes]:
    layered = transparent(image)
    turned = b"Exif\0\0" + exif(6)
    return {
        "webp_lossy": encode(image, "WEBP", quality=80),
        "webp_lossless": encode(image, "WEBP", lossless=True),
        "webp_alpha": encode(layered, "WEBP", lossless=True),
        "webp_lossy_alpha": encode(layered, "WEBP", quality=80),
        "turned_webp": encode(image, "WEBP", exif=turned),
        "animated_webp": encode(image, "WEBP", save_all=True, append_images=[image.rotate(180)]),
    }


def _gifs_and_bmps(image: Image.Image) -> dict[str, bytes]:
    palette = image.quantize(64)
    return {
        "gif": encode(palette, "GIF"),
        "transparent_gif": encode(palette, "GIF", transparency=5),
        "animated_gif": encode(palette, "GIF", save_all=True, append_images=[image.rotate(180).quantize(64)]),
        "bmp24": encode(image, "BMP"),
        "bmp32": encode(transparent(image), "BMP"),
        "palette_bmp": encode(palette, "BMP"),
        "grey_bmp": encode(image.convert("L"), "BMP"),
        "black_and_white_bmp": encode(image.convert("1"), "BMP"),
    }


def _tiffs(image: Image.Image) -> dict[str, bytes]:
    grey = np.asarray(image.convert("L"))
    return {
        "tiff": encode(image, "TIFF"),
        "tiff_grey16": encode(Image.fromarray(wide(grey)), "TIFF"),
        "tiff_float": encode(Image.fromarray(grey.astype(np.float32) / 255), "TIFF"),
        "tiff_cmyk": encode(image.convert("CMYK"), "TIFF"),
        "tiff_palette": encode(image.quantize(64), "TIFF"),
        "tiff_alpha": encode(transparent(image), "TIFF"),
        "tiff_lzw": encode(image, "TIFF", compression="tiff_lzw"),
        "tiff_jpeg": encode(image, "TIFF", compression="jpeg"),
        "tiff_pages": encode(image, "TIFF", save_all=True, append_images=[image.rotate(180)]),
        **{f"tiff_turned_{turn}": encode(image, "TIFF", tiffinfo={274: turn}) for turn in ORIENTATIONS},
    }
