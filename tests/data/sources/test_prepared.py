import json
import pathlib

import pytest

from jaxvision import data
from jaxvision.data.sources import prepared


def config(kind, name, **changes):
  return data.Source(kind=kind, name=str(name), **changes)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
  directory = tmp_path_factory.mktemp("prepared")
  data.prepare("digits", data_dir=directory)
  return directory


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("digits:2.0.0", r"digits.2\.0\.0.dataset_info\.json; .* 1\.0\.0"),
    ("digit", "did you mean 'digits'"),
    ("svhn_cropped", "svhn_cropped.*tfds build svhn_cropped --file_format="),
    ("mnist", "`jaxvision data prepare mnist --source=FOLDER --data_dir"),
    ("pets", r"no prepared data set 'oxford_iiit_pet'"),
  ],
)
def test_missing_data_name_the_file_and_the_command(data_dir, name, message):
  with pytest.raises(FileNotFoundError, match=message):
    data.open_dataset(config("tfds", name, data_dir=data_dir), "train")


def test_the_error_names_the_command_that_prepares_the_data_set(tmp_path):
  with pytest.raises(FileNotFoundError) as caught:
    data.open_dataset(config("tfds", "digits", data_dir=tmp_path), "train")
  assert str(tmp_path / "digits" / "VERSION") in str(caught.value)
  command = f"`jaxvision data prepare digits --data_dir={tmp_path}`"
  assert command in str(caught.value)


def test_the_default_directory_is_tfds_own(monkeypatch, tmp_path):
  monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
  assert prepared.root(None) == tmp_path
  monkeypatch.delenv("TFDS_DATA_DIR")
  assert prepared.root(None) == pathlib.Path.home() / "tensorflow_datasets"


def write_info(directory, file_format="array_record", size=10):
  directory.mkdir(parents=True)
  split = {"name": "train", "shardLengths": [str(size), "5"], "numBytes": "99"}
  info = {"splits": [split], "fileFormat": file_format}
  (directory / "dataset_info.json").write_text(json.dumps(info))


def test_other_formats_say_how_to_prepare_them_again(tmp_path):
  write_info(tmp_path / "mnist" / "3.0.1", file_format="riegeli")
  with pytest.raises(ValueError, match="tfds build mnist --file_format=array"):
    data.open_dataset(config("tfds", "mnist", data_dir=tmp_path), "train")


def test_the_newest_version_is_taken(tmp_path):
  for version in ("9.0.0", "10.0.0", "2.0.0"):
    write_info(tmp_path / "mnist" / version)
  assert prepared.find("mnist", data_dir=tmp_path).version == "10.0.0"
  assert prepared.find("mnist:9.0.0", data_dir=tmp_path).version == "9.0.0"


def test_list_shows_existing_and_preparable_datasets(tmp_path):
  write_info(tmp_path / "mnist" / "3.0.1")
  write_info(tmp_path / "c100" / "fine" / "1.0.0", file_format="parquet")
  (tmp_path / "downloads").mkdir()
  rows = {each.name: each for each in data.list_datasets(tmp_path)}
  others = [name for name in prepared.OURS if name != "mnist"]
  assert list(rows) == ["c100/fine", "mnist", *others]
  assert rows["mnist"].splits == {"train": 15}
  assert rows["mnist"].num_bytes == 99 and not rows["mnist"].remedy
  assert "--file_format=array_record" in rows["c100/fine"].remedy
  assert rows["digits"].directory is None
  elsewhere = f"--data_dir={tmp_path}"
  assert rows["digits"].remedy == f"jaxvision data prepare digits {elsewhere}"
  command = f"jaxvision data prepare cifar10 --source=FOLDER {elsewhere}"
  assert rows["cifar10"].remedy == command


@pytest.mark.parametrize(
  "content", ["", "[]", "{", '{"splits": 3}', '{"splits": [{"name": "train"}]}']
)
def test_a_damaged_description_is_named_and_hides_no_other(
  tmp_path, content, caplog
):
  for name, text in (("ours", '{"name": "ours"}'), ("theirs", content)):
    directory = tmp_path / name / "1.0.0"
    directory.mkdir(parents=True)
    (directory / "dataset_info.json").write_text(text)
  with pytest.raises(
    ValueError, match=r"theirs/1\.0\.0/dataset_info\.json is d"
  ):
    prepared.find("theirs", data_dir=tmp_path)
  assert [each.name for each in prepared.scan_all(tmp_path)] == ["ours"]
  assert "dataset_info.json is damaged" in caplog.text
