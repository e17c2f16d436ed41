"""Data sets of captions are read in the layouts in which they are published."""

import json
import os
import pathlib
import pickle
import shutil

import captioned_files
import pytest
from captioned_files import CAPTIONS
from written_sources import config

from jaxvision import data

# Layout -> its files, and the images of each split.
LAYOUTS = {
  "coco": (captioned_files.coco, {"train": range(5), "validation": range(5)}),
  "karpathy": (
    captioned_files.karpathy,
    {"train": (0, 4), "validation": (2,), "test": (3,), "restval": (1,)},
  ),
  "flickr8k": (
    captioned_files.flickr8k,
    {"train": (0, 1), "validation": (2,), "test": (3,)},
  ),
}


def _captions(path, labels="classes"):
  return config("captions", path, labels=labels)


def _number(image):
  return int(data.decode(image, channels=1)[0, 0, 0])


def _texts(split):
  """{number of an image: its captions}, in the order of the split."""
  indices = range(split.num_examples)
  texts = split.fields()["caption"].read(indices)
  images = [image for image, _ in split.read(indices)]
  return dict(zip(map(_number, images), texts, strict=True))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LAYOUTS)
def test_captions_belong_to_their_images(name, tmp_path):
  write, expected = LAYOUTS[name]
  of = _captions(write(tmp_path))
  assert list(data.split_sizes(of)) == list(expected)
  ending = " ." if name == "flickr8k" else ""
  for split, numbers in expected.items():
    opened = pickle.loads(pickle.dumps(data.open_dataset(of, split)))
    assert _texts(opened) == {
      i: "\n".join(f"{each}{ending}" for each in CAPTIONS[i]) for i in numbers
    }
    assert opened.label_kind == "none" and (opened.labels() == -1).all()


def test_a_split_can_be_joined_and_cut(tmp_path):
  of = _captions(captioned_files.karpathy(tmp_path))
  assert sorted(_texts(data.open_dataset(of, "train+restval"))) == [0, 1, 4]
  of = _captions(captioned_files.coco(tmp_path / "coco"))
  first, last = (
    _texts(data.open_dataset(of, each)) for each in ("train[:3]", "train[3:]")
  )
  assert sorted({**first, **last}) == list(range(5)) and len(first) == 3


@pytest.mark.parametrize(
  "file", ["annotations/captions_val2017.json", "dataset_coco.json"]
)
def test_a_file_may_be_named(file, tmp_path):
  """Also if the folder has the files of two data sets."""
  captioned_files.coco(tmp_path)
  captioned_files.karpathy(tmp_path)
  with pytest.raises(ValueError, match="several files of captions: captions_"):
    data.split_sizes(_captions(tmp_path))
  opened = data.open_dataset(_captions(tmp_path / file), "validation")
  assert opened.num_examples in (1, 5)


def test_a_file_without_a_split_in_its_name_is_the_training_split(tmp_path):
  folder = captioned_files.coco(tmp_path)
  path = folder / "annotations" / "captions_val2017.json"
  path.rename(folder / "annotations" / "mine.json")
  of = _captions(folder / "annotations" / "mine.json")
  assert data.split_sizes(of) == {"train": 5}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_kind_follows_from_the_path(name, tmp_path):
  write, _ = LAYOUTS[name]
  assert data.kind_of(str(write(tmp_path))) == ("captions", str(tmp_path))


@pytest.mark.parametrize(
  "name", ["dataset_infos.json", "dataset_info.json", "dataset_dict.json"]
)
def test_a_folder_of_classes_with_other_json_is_no_file_of_captions(
  name, tmp_path
):
  for each in ("cat", "dog"):
    captioned_files.write_image(tmp_path / each / "1.png", 1)
  (tmp_path / name).write_text("{}")
  assert data.kind_of(str(tmp_path)) == ("folder", str(tmp_path))


@pytest.mark.parametrize("folder", ["images", "annotations/images"])
def test_images_may_be_in_a_folder_images(folder, tmp_path):
  captioned_files.coco(tmp_path)
  for name in ("train2017", "val2017"):
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / name).rename(tmp_path / folder / name)
  opened = data.open_dataset(_captions(tmp_path), "validation")
  assert opened.ids([0])[0].startswith(f"{tmp_path}/{folder}/val2017/")


def test_equal_names_are_those_of_the_split(tmp_path):
  of = _captions(captioned_files.coco(tmp_path))
  for split, name in {"train": "train2017", "validation": "val2017"}.items():
    ids = data.open_dataset(of, split).ids(range(5))
    assert {pathlib.Path(each).parent.name for each in ids} == {name}


def test_most_images_tell_the_folder(tmp_path):
  """Without a folder that has the name of the split."""
  of = _captions(captioned_files.flickr8k(tmp_path))
  captioned_files.write_image(tmp_path / "A" / "0_ab.jpg", 9)
  ids = data.open_dataset(of, "train").ids(range(2))
  assert {pathlib.Path(each).parent.name for each in ids} == {
    "Flicker8k_Dataset"
  }


def test_images_are_looked_for_once(tmp_path, monkeypatch):
  of = _captions(captioned_files.karpathy(tmp_path))
  looked = []
  isfile = os.path.isfile
  monkeypatch.setattr(
    os.path, "isfile", lambda path: looked.append(path) or isfile(path)
  )
  for split in ("train", "validation", "test"):
    data.open_dataset(of, split)
  images = [each for each in looked if str(each).endswith(".jpg")]
  assert len(images) == len(set(images)) == 5


def test_one_file_of_a_data_set_needs_its_own_images_only(tmp_path):
  folder = captioned_files.coco(tmp_path)
  shutil.rmtree(folder / "train2017")
  for path in (folder / "val2017").iterdir():
    path.rename(path.with_name(f"val_{path.name}"))
  path = folder / "annotations" / "captions_val2017.json"
  path.write_text(path.read_text().replace('"0000', '"val_0000'))
  with pytest.raises(FileNotFoundError) as error:
    data.open_dataset(_captions(folder), "validation")
  assert "captions_train2017.json" in str(error.value)
  assert "give its path as data.name" in str(error.value)
  assert data.split_sizes(_captions(path)) == {"validation": 5}


def test_images_in_no_list_are_counted(tmp_path, caplog):
  of = _captions(captioned_files.flickr8k(tmp_path))
  data.split_sizes(of)
  assert "1 of 5 images" in caplog.text and "such as 4_ab.jpg" in caplog.text


def _changed(folder, change):
  path = captioned_files.coco(folder) / "annotations/captions_train2017.json"
  content = json.loads(path.read_text())
  change(content)
  path.write_text(json.dumps(content))
  return _captions(folder)


def _empty(content):
  content["annotations"][3]["caption"] = "  \n"


def _without(content):
  content["annotations"] = content["annotations"][:3]


@pytest.mark.parametrize(
  ("change", "expected"),
  [
    (_empty, "'train': 1 of 5 images have an empty caption: 42"),
    (_without, "'train': 3 of 5 images have no caption: 42, 43, 44"),
  ],
)
def test_captions_that_are_missing_or_empty_are_errors(
  change, expected, tmp_path
):
  with pytest.raises(ValueError, match=expected):
    data.split_sizes(_changed(tmp_path, change))


def test_images_that_do_not_exist_are_counted(tmp_path):
  of = _captions(captioned_files.coco(tmp_path))
  for i in (0, 4):
    (tmp_path / "train2017" / f"{i:012}.jpg").unlink()
  with pytest.raises(FileNotFoundError) as error:
    data.split_sizes(of)
  assert "2 of 5 images with captions" in str(error.value)
  assert f"{tmp_path}/train2017/000000000000.jpg" in str(error.value)


def test_missing_images_name_the_searched_folders(tmp_path):
  of = _captions(captioned_files.flickr8k(tmp_path))
  (tmp_path / "Flicker8k_Dataset").rename(tmp_path.with_name("elsewhere"))
  with pytest.raises(
    FileNotFoundError, match=r"no image 0_ab\.jpg, the first of"
  ) as error:
    data.split_sizes(of)
  _, looked = str(error.value).split("looked in ")
  assert looked == f"{tmp_path}/Flickr8k_text, {tmp_path}"


@pytest.mark.parametrize(
  ("name", "labels", "expected"),
  [
    ("no.json", "none", "no file of captions"),
    ("", "none", r"dataset_flickr30k\.json, captions_\*\.json"),
    ("", "sets", "images with captions have no labels"),
  ],
)
def test_wrong_sources(name, labels, expected, tmp_path):
  of = _captions(tmp_path / name, labels=labels)
  with pytest.raises((ValueError, FileNotFoundError), match=expected):
    data.split_sizes(of)


def test_results_have_no_images(tmp_path):
  path = pathlib.Path(tmp_path / "results.json")
  path.write_text('[{"image_id": 3, "caption": "A cat."}]')
  with pytest.raises(ValueError, match="captions without names of images"):
    data.split_sizes(_captions(path))
