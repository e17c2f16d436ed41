"""A run continues with odd files among its images: threads, workers, tars."""

import contextlib
import os
import signal
import socket
import tarfile

import image_files
import numpy as np
import pytest
from PIL import Image

from jaxvision import data
from jaxvision.data.decoding import image_files as readers
from jaxvision.data.formats import byte_ranges

NUMBER = 12  # images that are fine


@pytest.fixture(autouse=True)
def no_hang():
  """A reader that waits for a pipe would wait forever."""

  def stop(number, frame):
    raise TimeoutError("it hangs")

  before = signal.signal(signal.SIGALRM, stop)
  signal.alarm(60)
  yield
  signal.alarm(0)
  signal.signal(signal.SIGALRM, before)


def write_images(folder):
  for number in range(NUMBER):
    path = folder / "ab"[number % 2] / f"{number:02}.png"
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8), (20 * number, 0, 0)).save(path)


def odd_files(folder):
  """{name: words of the reason}, of files written into the folder."""
  jpeg = bytearray(image_files.encode(image_files.PICTURE, "JPEG"))
  place = jpeg.index(b"\xff\xc0") + 5
  jpeg[place : place + 4] = b"\xff\xdc" * 2
  (folder / "bomb.jpg").write_bytes(jpeg)
  encoded = image_files.encode(image_files.PICTURE, "EPS")
  (folder / "page.jpg").write_bytes(encoded)
  os.symlink("/dev/zero", folder / "zeros.jpg")
  with open(folder / "huge.jpg", "wb") as file:
    file.truncate(2**40)
  with open(folder / "sparse.png", "wb") as file:
    file.truncate(2**29)
  os.symlink(folder / "nothing", folder / "gone.jpg")
  return {
    "bomb.jpg": "data.max_pixels",
    "page.jpg": "EPS",
    "zeros.jpg": "expected a regular file",
    "huge.jpg": "1,099,511,627,776 bytes",
    "sparse.png": "not an image",
    "gone.jpg": "No such file",
  }


def open_folder(path):
  config = data.Source(kind="folder", name=str(path), num_classes=0)
  return data.open_dataset(config, "train")


@pytest.mark.parametrize(
  "options", [{"threads": 0}, {"threads": 3}, {"workers": 2}]
)
def test_a_run_names_odd_files_and_goes_on(options, tmp_path, caplog):
  write_images(tmp_path)
  odd = odd_files(tmp_path / "a")
  batches = data.make_batches(
    open_folder(tmp_path),
    batch_size=6,
    transforms=("resize(8)",),
    max_unreadable=0.5,
    **options,
  )
  with contextlib.closing(batches.iterate(0, 3)) as made:
    masks = [batch["mask"].sum() for batch in made]
  assert sum(masks) == NUMBER
  reasons = {
    os.path.basename(batches.examples.dataset.ids([index])[0]): reason
    for index, reason in batches.unreadable.items()
  }
  assert set(reasons) == set(odd)
  for name, words in odd.items():
    assert words in reasons[name]
    assert any(
      name in record.getMessage() and words in record.getMessage()
      for record in caplog.records
    )


def test_the_limit_of_the_config_is_that_of_the_run(tmp_path):
  write_images(tmp_path)
  dataset = open_folder(tmp_path)
  make = {"batch_size": 6, "threads": 0, "max_unreadable": 1.0}
  assert data.make_batches(dataset, max_pixels=64, **make).unreadable == {}
  with pytest.raises(data.UnreadableImage, match=r"8x8 pixels .*=63"):
    data.make_batches(dataset, max_pixels=63, **make)


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "device"])
def test_a_special_file_is_not_read(kind, tmp_path):
  path = tmp_path / "x.jpg"
  with contextlib.ExitStack() as stack:
    if kind == "pipe":
      os.mkfifo(path)
    elif kind == "socket":
      server = stack.enter_context(socket.socket(socket.AF_UNIX))
      server.bind(str(path))
    elif kind == "folder":
      path.mkdir()
    else:
      os.symlink("/dev/zero", path)
    with pytest.raises(OSError, match=str(path)):
      readers.read(path)


def test_files_of_every_size_are_read_whole(tmp_path, monkeypatch):
  monkeypatch.setattr(readers, "_SMALL", 100)
  monkeypatch.setattr(readers, "MAX_BYTES", 1000)
  path = tmp_path / "x.png"
  start = b"\x89PNG\r\n\x1a\n"
  for size in (8, 100, 101, 1000):
    content = start + np.random.default_rng(0).bytes(size - 8)
    path.write_bytes(content)
    assert readers.read(path) == content
  path.write_bytes(start + bytes(993))
  with pytest.raises(OSError, match="1,001 bytes, more than 1,000"):
    readers.read(path)
  path.write_bytes(bytes(101))
  with pytest.raises(OSError, match="101 bytes, not an image"):
    readers.read(path)


def test_pieces_of_files_are_bounded_and_of_regular_files(tmp_path):
  path = tmp_path / "shard"
  with open(path, "wb") as file:
    file.truncate(2**40)
  pieces = byte_ranges.Extents(
    paths=(str(path),),
    files=np.zeros(2, np.int32),
    offsets=np.asarray([0, 10]),
    sizes=np.asarray([10, 2**39]),
  )
  assert pieces.read([0]) == [bytes(10)]
  with pytest.raises(OSError, match=f"{2**39:,} bytes"):
    pieces.read([0, 1])
  path.unlink()
  os.mkfifo(path)
  with pytest.raises(OSError, match="expected a regular file"):
    pieces.read([0])


def test_a_pipe_among_shards_is_refused(tmp_path):
  with tarfile.open(tmp_path / "train-0.tar", "w") as archive:
    for name, content in (("1.png", b"x"), ("1.cls", b"0")):
      (tmp_path / name).write_bytes(content)
      archive.add(tmp_path / name, name)
  os.mkfifo(tmp_path / "train-1.tar")
  config = data.Source(kind="webdataset", name=str(tmp_path), num_classes=0)
  with pytest.raises((OSError, ValueError), match=r"train-1\.tar"):
    data.open_dataset(config, "train")
