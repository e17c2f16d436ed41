"""Unreadable images: too large, or rejected by a codec."""

import io
import os
import struct
import subprocess
import sys
import zlib

import image_files
import numpy as np
import pytest
from PIL import Image

from jaxvision.data import decoding
from jaxvision.data.decoding import unreadable
from jaxvision.data.transforms import host

encode, chunk = image_files.encode, image_files.chunk
PICTURE, PIXELS = image_files.PICTURE, image_files.PIXELS
_MEMORY = 6 * 2**30  # bytes of addresses that a child may have
# Tells what each file of a folder is: its shape or why it is unreadable.
_DECODE = f"""
import pathlib, resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({_MEMORY}, {_MEMORY}))
from jaxvision.data import decoding
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
  for channels in (3, 1):
    try:
      found = decoding.decode(path.read_bytes(), channels=channels).shape
    except decoding.UnreadableImage as error:
      found = error
    print(path.name, channels, found, sep="|")
status = pathlib.Path("/proc/self/status")
for line in status.read_text().splitlines() if status.exists() else ():
  assert not line.startswith("VmHWM") or int(line.split()[1]) < 2**20, line
"""


def decode_all(folder):
  """{name: [result for 3 channels, for 1]}, and the other printed output."""
  done = subprocess.run(
    [sys.executable, "-c", _DECODE, folder],
    capture_output=True,
    text=True,
    check=True,
    timeout=100,
  )
  found = {}
  for line in done.stdout.splitlines():
    name, _, result = line.split("|")
    found.setdefault(name, []).append(result)
  return found, done.stderr


def jpeg(height, width, *, frame=b"\xff\xc0", **options):
  encoded = bytearray(
    encode(PICTURE.convert(options.pop("mode", "RGB")), "JPEG", **options)
  )
  place = encoded.index(frame) + 5
  encoded[place : place + 4] = struct.pack(">HH", height, width)
  return bytes(encoded)


def replaced(encoded, place, form, *values):
  size = struct.calcsize(form)
  return encoded[:place] + struct.pack(form, *values) + encoded[place + size :]


def tiff(height, width, **options):
  encoded = encode(PICTURE, "TIFF", **options)
  for tag, value in ((256, width), (257, height), (278, height)):
    places = (encoded.find(struct.pack("<HHI", tag, k, 1)) for k in (3, 4))
    place = max(places)
    encoded = replaced(encoded, place, "<HHII", tag, 4, 1, value)
  return encoded


def bombs():
  many = 65500
  gif = encode(PICTURE.quantize(4), "GIF")
  bmp, webp = encode(PICTURE, "BMP"), encode(PICTURE, "WEBP")
  lossless = encode(PICTURE, "WEBP", lossless=True)
  scans = encode(
    PICTURE.convert("L").resize((1000, 1000)), "JPEG", progressive=True
  )
  last = scans[scans.rindex(b"\xff\xda") : -2]
  found = {
    "jpeg": jpeg(many, many),
    "jpeg_progressive": jpeg(many, many, frame=b"\xff\xc2", progressive=True),
    "jpeg_cmyk": jpeg(many, many, mode="CMYK"),
    "jpeg_followed": jpeg(many, many) + b"x",
    "jpeg_below_the_limit": jpeg(15000, 15000),
    "jpeg_scans": scans[:-2] + last * 10000 + b"\xff\xd9",
    "png": image_files.png(many, many, rows=bytes(1000)),
    "png_long": image_files.png(1, 2**31 - 1),
    "png_bits": image_files.png(
      many, many, depth=1, colour=0, rows=bytes(10**6)
    ),
    "png_below_the_limit": image_files.png(15000, 15000, rows=bytes(1000)),
    "gif": replaced(gif, 6, "<HH", many, many),
    "gif_frame": replaced(gif, image_files.gif_frame(gif), "<HH", many, many),
    "bmp": replaced(bmp, 18, "<ii", many, many),
    "bmp_upside_down": replaced(bmp, 18, "<ii", 2**31 - 1, 1 - 2**31),
    "ppm": b"P6 65500 65500 255 " + bytes(100),
    "ppm_of_digits": b"P3 65500 65500 255 1 2 3",
    "pfm": b"Pf\n65500 65500\n-1.0\n",
    "webp": replaced(webp, webp.index(b"VP8 ") + 14, "<HH", 16383, 16383),
    "webp_lossless": replaced(
      lossless, lossless.index(b"VP8L") + 9, "<I", 2**28 - 1
    ),
    "tiff": tiff(many, many),
    "tiff_packed": tiff(many, many, compression="tiff_lzw"),
    "tiff_below_the_limit": tiff(15000, 15000),
  }
  if image_files.HAS_AVIF:
    avif = encode(PICTURE, "AVIF")
    found["avif"] = replaced(avif, avif.index(b"ispe") + 8, ">II", many, many)
  return found


def test_bombs_are_unreadable_at_once(tmp_path):
  files = bombs()
  for name, content in files.items():
    (tmp_path / name).write_bytes(content)
  found, printed = decode_all(tmp_path)
  assert set(found) == set(files) and printed == ""
  for name, results in found.items():
    for result in results:
      assert not result.startswith("("), name
      if not ("below" in name or name == "avif"):
        assert "data.max_pixels" in result, name


def test_texts_are_not_decompressed_without_end(tmp_path):
  png, packed = encode(PICTURE, "PNG"), zlib.compress(bytes(2**28))
  for number, each in enumerate(
    (
      (b"zTXt", b"Raw profile type exif\0\0" + packed),
      (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed),
      (b"zTXt", b"Comment\0\0" + packed),
      (b"iCCP", b"name\0\0" + packed),
    )
  ):
    encoded = image_files.with_chunks(png, chunk(*each))
    (tmp_path / str(number)).write_bytes(encoded)
  found, printed = decode_all(tmp_path)
  assert len(found) == 4
  for results in found.values():
    assert results == ["(48, 64, 3)", "(48, 64, 1)"]
  assert printed == ""


@pytest.mark.parametrize(
  "kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF"]
)
def test_the_limit_is_kept_by_every_decoder(kind):
  if kind == "AVIF" and not image_files.HAS_AVIF:
    pytest.skip("a Pillow without AVIF")
  encoded = encode(PICTURE, kind)
  size = 48 * 64
  decoding.decode(encoded, channels=3, max_pixels=size)
  crop = host.make_host_transform(("center_crop(4)",)).head
  for decode in (
    lambda: decoding.decode(encoded, channels=1, max_pixels=size - 1),
    lambda: decoding.decode_resampled(
      encoded, crop, rng=None, channels=3, max_pixels=size - 1
    ),
  ):
    with pytest.raises(
      decoding.UnreadableImage,
      match=r"are 3,072.*=3,071; increase",
    ):
      decode()


@pytest.mark.parametrize("shape", [(1, 60000), (60000, 1)])
def test_a_thread_is_not_made_a_sheet(shape):
  """The shorter side of 1 would become 256, and the other side 15 million."""
  image = np.zeros((*shape, 3), np.uint8)
  resize = host.make_host_transform(("resize_small(5000)",))
  with pytest.raises(decoding.UnreadableImage, match=r"1x60000|60000x1"):
    resize(None, image)
  encoded = encode(Image.fromarray(image), "JPEG")
  with pytest.raises(decoding.UnreadableImage, match=r"1x60000|60000x1"):
    decoding.decode_resampled(encoded, resize.head, rng=None, channels=3)


@pytest.mark.parametrize(
  "error",
  [
    struct.error("unpack requires a buffer"),
    RuntimeError("no"),
    TypeError(),
    NotImplementedError("texture"),
    RecursionError(),
    ZeroDivisionError("by zero"),
    KeyError(7),
    OverflowError("too large"),
    zlib.error("Error -3"),
    MemoryError(),
  ],
)
def test_any_error_of_a_codec_means_unreadable(error, monkeypatch):
  def fail(*arguments, **options):
    raise error

  monkeypatch.setattr(Image, "open", fail)
  with pytest.raises(decoding.UnreadableImage) as found:
    decoding.decode(encode(PICTURE, "BMP"), channels=3)
  assert found.value.__cause__ is error
  expected = (
    "memory" if isinstance(error, MemoryError) else type(error).__name__
  )
  assert expected in str(found.value)


def test_an_interruption_is_none(monkeypatch):
  def fail(*arguments, **options):
    raise KeyboardInterrupt

  monkeypatch.setattr(Image, "open", fail)
  with pytest.raises(KeyboardInterrupt):
    decoding.decode(encode(PICTURE, "BMP"), channels=3)


def damaged(kind):
  """Valid pixels with metadata that readers of EXIF cannot parse."""
  wrong = b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x12\0\x03"
  if kind == "JPEG":
    return image_files.with_segments(
      encode(PICTURE, "JPEG", quality=95),
      image_files.segment(0xE1, wrong),
      image_files.segment(0xE2, b"MPF\0" + b"\xff" * 20),
      image_files.segment(0xE2, b"ICC_PROFILE\0\1\2x"),
      image_files.segment(0xED, b"Photoshop 3.0\0" + b"8BIM" + b"\xff" * 9),
    )
  if kind == "PNG":
    png = image_files.with_chunks(
      encode(PICTURE, "PNG"), chunk(b"eXIf", wrong), chunk(b"iCCP", b"\xff")
    )
    # Also with a checksum that is wrong.
    return png[:45] + b"\xff" + png[46:]
  if kind == "TIFF":
    tags = {34665: 2**31, 34853: 7, 34675: b"x", 700: b"\xff", 33723: b"\xff"}
    return encode(PICTURE, "TIFF", tiffinfo=tags)
  options = {"lossless": True} if kind == "WEBP" else {"quality": 100}
  encoded = encode(PICTURE, kind, exif=image_files.exif(1), **options)
  place = encoded.index(b"II*\0", 20)
  return replaced(encoded, place, "<4sI", b"??*\0", 2**31)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_broken_metadata_do_no_harm(kind, capfd):
  if kind == "AVIF" and not image_files.HAS_AVIF:
    pytest.skip("a Pillow without AVIF")
  options = {"JPEG": {"quality": 95}, "AVIF": {"quality": 100}}.get(kind, {})
  clean = encode(PICTURE, kind, **options) if options else None
  expected = decoding.decode(clean, channels=3) if clean else PIXELS
  found = decoding.decode(damaged(kind), channels=3)
  np.testing.assert_array_equal(found, expected)
  for after in (b"", b"x"):  # by another decoder, for JPEG
    found = decoding.decode(damaged(kind) + after, channels=1)
    assert found.shape == (48, 64, 1)
  assert capfd.readouterr() == ("", "")


def test_strips_that_are_missing_are_no_black_rows():
  """Pillow fills them with black."""
  encoded = image_files.numbers_as_tiff(np.zeros((4, 4), np.uint8), bits=8)
  taller = encoded.replace(
    struct.pack("<HHII", 257, 4, 1, 4), struct.pack("<HHII", 257, 4, 1, 40)
  )
  assert np.asarray(Image.open(io.BytesIO(taller))).shape == (40, 4)
  with pytest.raises(decoding.UnreadableImage, match="1 of the 10 strips"):
    decoding.decode(taller, channels=3)


def test_reasons_of_one_of_several():
  assert unreadable.reason_of(FileNotFoundError(2, "gone", "a.jpg"))
  assert unreadable.reason_of(ValueError("too small")) == "too small"
  assert "memory" in unreadable.reason_of(MemoryError())
  assert unreadable.reason_of(TypeError("a mistake in our code")) is None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_are_read_or_unreadable(seed, tmp_path):
  rng = np.random.default_rng(seed)
  kinds = ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM"]
  kinds += ["AVIF"] if image_files.HAS_AVIF else []
  exif = image_files.exif(6)
  for number in range(1500):
    kind = kinds[number % len(kinds)]
    options = {"exif": exif} if kind in ("JPEG", "PNG", "WEBP") else {}
    content = bytearray(encode(PICTURE, kind, **options))
    for _ in range(rng.integers(1, 20)):
      most = len(content) if rng.random() < 0.5 else min(200, len(content))
      content[rng.integers(most)] = rng.integers(256)
    if rng.random() < 0.2:
      del content[rng.integers(len(content)) :]
    (tmp_path / str(number)).write_bytes(content)
  found, printed = decode_all(tmp_path)
  assert len(found) == 1500 and len(os.listdir(tmp_path)) == 1500
  assert printed == ""
