"""The command `jaxvision data`."""

import zlib

import image_files
import numpy as np
import published_archives
import pytest
import spawned
from PIL import Image

from jaxvision import cli


@pytest.fixture(scope="module")
def data_dir():
  return spawned.prepared_digits()


def test_data_prepare_then_list(tmp_path, data_dir, capsys):
  words = ["data", "list", "--data_dir", str(tmp_path)]
  assert cli.main(words) == 0
  empty = capsys.readouterr().out
  assert f"jaxvision data prepare digits --data_dir={tmp_path}" in empty
  prepare = ["data", "prepare", "digits", "--data_dir", str(tmp_path)]
  assert cli.main(prepare) == 0
  made = tmp_path / "digits" / "1.0.0"
  assert capsys.readouterr().out == f"prepared: {made}\n"
  assert cli.main(words) == 0
  listed = capsys.readouterr().out
  assert "train 1,257, validation 180, test 360" in listed


def test_data_inspect_counts_and_draws(data_dir, tmp_path, capsys):
  sheet = tmp_path / "sheet.png"
  words = ["data", "inspect", "digits", "--data_dir", data_dir]
  assert cli.main([*words, "--split", "test", "--sheet", str(sheet)]) == 0
  printed = capsys.readouterr().out
  assert "test: 360 images, 8x8 (256)" in printed
  counts = [line.split() for line in printed.splitlines() if line[0] == " "]
  assert sum(int(count) for count, _ in counts) == 360
  assert [name for _, name in counts] == list("0123456789")
  assert np.ptp(np.asarray(Image.open(sheet))) > 0


def test_data_inspect_sums_up(tmp_path, capfd):
  """300 sizes, 12 broken profiles and 20 unreadable files give a few lines."""
  for number in range(300):
    path = tmp_path / "photos" / "ab"[number % 2] / f"{number:03}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = image_files.encode(Image.new("RGB", (30 + number, 20)), "PNG")
    if number < 24 and number % 2:
      wrong = b"name\0\0" + zlib.compress(b"x" * 200)
      encoded = image_files.with_chunks(
        encoded, image_files.chunk(b"iCCP", wrong)
      )
    path.write_bytes(b"\x1b[2J" if 100 <= number < 130 else encoded)
  sheet = tmp_path / "sheet.png"
  words = ["data", "inspect", str(tmp_path / "photos"), f"--sheet={sheet}"]
  assert cli.main(words) == 0
  printed = capfd.readouterr()
  assert printed.err == ""
  lines = printed.out.splitlines()
  assert len(lines) < 20 and max(map(len, lines)) < 1000
  assert lines[0].startswith("train: 300 images, ")
  assert "heights 20 to 20, widths 30 to 329" in lines[0]
  (broken,) = [line for line in lines if "broken colour profile" in line]
  count, _, named = broken.strip().partition(" files have ")
  # 256 of the 300 images are inspected.
  assert 8 <= int(count) <= 12 and "001.png" in named and ", ..." in named
  unreadable = [line for line in lines if "unreadable:" in line]
  assert len(unreadable) == 9 and unreadable[-1].endswith(" more")
  assert "\x1b" not in printed.out
  assert cli.main(["data", "doctor", str(tmp_path / "photos")]) == 2
  printed = capfd.readouterr()
  assert "note: 12 files of train have a broken colour profile" in printed.out
  assert "libpng" not in printed.err


def test_data_that_are_not_there(tmp_path, capsys):
  words = ["data", "inspect", "digits", "--data_dir", str(tmp_path)]
  assert cli.main(words) == 2
  error = capsys.readouterr().err
  assert f"{tmp_path}/digits/VERSION/dataset_info.json" in error
  assert f"jaxvision data prepare digits --data_dir={tmp_path}" in error


def test_data_prepare_from_files(tmp_path, capsys):
  published_archives.imagenet(tmp_path)
  words = ["data", "prepare", "imagenet2012", f"--source={tmp_path}"]
  words += [f"--data_dir={tmp_path}", "--resize_small=24", "--quality=80"]
  assert cli.main(words) == 2
  assert "9 of 1,281,167 examples of train" in capsys.readouterr().err
  assert cli.main([*words, "--allow_partial", "--threads=2"]) == 0
  made = tmp_path / "imagenet2012" / "5.1.0"
  assert capsys.readouterr().out == f"prepared: {made}\n"
  doctor = ["data", "doctor", "imagenet2012", f"--data_dir={tmp_path}"]
  assert cli.main(doctor) == 0
  assert "12 images of typically 24x32 pixels" in capsys.readouterr().out


def test_data_doctor_fails_on_errors(tmp_path, capsys):
  for name in ("cat", "dog"):
    (tmp_path / name).mkdir()
    (tmp_path / name / "1.jpg").write_bytes(published_archives.jpeg(len(name)))
  (tmp_path / "cat" / "2.jpg").write_bytes(b"no image")
  assert cli.main(["data", "doctor", str(tmp_path)]) == 2
  printed = capsys.readouterr()
  assert "error: 1 of 3 images of train cannot be read" in printed.out
  assert "  remedy: replace or remove them" in printed.out
  assert printed.err == f"jaxvision: 1 errors in {tmp_path}\n"
  (tmp_path / "cat" / "2.jpg").unlink()
  (tmp_path / "dog" / "1.jpg").write_bytes(published_archives.jpeg(9))
  assert cli.main(["data", "doctor", str(tmp_path)]) == 0


def test_data_preview_takes_a_config(data_dir, tmp_path, capsys):
  sheet = tmp_path / "sheet.png"
  words = ["data", "preview", "--config", spawned.recipe("digits.py")]
  words += [f"--config.data.data_dir={data_dir}", "--output", str(sheet)]
  assert cli.main([*words, "--batches=1"]) == 0
  assert capsys.readouterr().out == f"preview: {sheet}\n"
  assert np.ptp(np.asarray(Image.open(sheet))) > 0
  wrong = "--config.data.device_transforms=('random_mix',)"
  assert cli.main([*words, wrong]) == 2
  assert "'random_mixup'" in capsys.readouterr().err


def test_data_inspect_of_a_function_of_the_user(tmp_path, capsys):
  source = tmp_path / "photos.py"
  source.write_text(
    "import numpy as np\n\n\n"
    "def load(name):\n"
    "  images = np.arange(4 * 12, dtype=np.uint8).reshape(4, 2, 2, 3)\n"
    "  return {'train': (images, ['a', 'b', 'b', 'b'])}\n"
  )
  sheet = tmp_path / "sheet.png"
  words = ["data", "inspect", f"{source}:load", "--sheet", str(sheet)]
  assert cli.main(words) == 0
  printed = capsys.readouterr().out.splitlines()
  assert printed[0] == "train: 4 images, 2x2 (4)"
  assert [line.split() for line in printed[1:3]] == [["1", "a"], ["3", "b"]]
  assert sheet.exists()
