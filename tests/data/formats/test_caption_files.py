"""Files of captions are read in all their forms, and faults are named."""

import json

import captioned_files
import pytest
from captioned_files import CAPTIONS

from jaxvision.data.formats import caption_files


def _read(path):
  return {each.key: each.captions for each in caption_files.read(path)}


def _json(folder, content):
  path = folder / "captions.json"
  path.write_text(json.dumps(content))
  return path


def test_annotations_of_coco(tmp_path):
  captioned_files.coco(tmp_path)
  found = caption_files.read(tmp_path / "annotations/captions_train2017.json")
  assert [each.captions for each in found] == list(CAPTIONS)
  assert [each.key for each in found] == ["40", "41", "42", "43", "44"]
  assert found[1].file == "000000000001.jpg" and found[1].split == ""


def test_splits_of_karpathy(tmp_path):
  captioned_files.karpathy(tmp_path)
  found = caption_files.read(tmp_path / "dataset_coco.json")
  assert [each.captions for each in found] == list(CAPTIONS)
  assert [each.split for each in found] == [
    *("train", "restval", "validation", "test", "train")
  ]
  assert found[2].key == "42"
  assert found[2].file == "val2014/COCO_val2014_000000000002.jpg"


def test_karpathys_file_of_flickr8k_has_names_only(tmp_path):
  image = {"filename": "a.jpg", "split": "val", "sentences": [{"raw": "A."}]}
  found = caption_files.read(_json(tmp_path, {"images": [image]}))
  assert found == [
    caption_files.Captioned("a.jpg", "a.jpg", "validation", ("A.",))
  ]


def test_text_of_flickr8k(tmp_path):
  captioned_files.flickr8k(tmp_path)
  path = tmp_path / "Flickr8k_text" / "Flickr8k.token.txt"
  found = caption_files.read(path)
  assert found[0].captions == tuple(f"{each} ." for each in CAPTIONS[0])
  assert [each.key for each in found] == [f"{i}_ab.jpg" for i in range(5)]
  assert [each.split for each in found] == [
    *("train", "train", "validation", "test", "")
  ]


def _add_to_list(folder, split, *names):
  captioned_files.flickr8k(folder)
  path = folder / "Flickr8k_text" / f"Flickr_8k.{split}Images.txt"
  path.write_text(path.read_text() + "".join(f"{name}\n" for name in names))
  return path.with_name("Flickr8k.token.txt")


def test_listed_images_without_captions_are_counted(tmp_path):
  path = _add_to_list(tmp_path, "train", "x.jpg", "", "y.jpg")
  with pytest.raises(
    ValueError, match=r"captions of 2 of 6 images in the lists .*: x\.jpg, y"
  ):
    caption_files.read(path)


def test_an_image_in_two_lists_is_an_error(tmp_path):
  path = _add_to_list(tmp_path, "test", "0_ab.jpg", "2_ab.jpg", "3_ab.jpg")
  with pytest.raises(
    ValueError, match=r"2 images are in lists of two .*: 0_ab\.jpg, 2_ab\.jpg;"
  ):
    caption_files.read(path)


def test_results_of_coco(tmp_path):
  content = [
    {"image_id": 7, "caption": " A  cat.\n"},
    {"image_id": 9, "caption": "A dog."},
    {"image_id": 7, "caption": "Cats."},
  ]
  expected = {"7": ("A cat.", "Cats."), "9": ("A dog.",)}
  assert _read(_json(tmp_path, content)) == expected


def test_results_by_path(tmp_path):
  content = [{"image": "photos/a.jpg", "caption": "A cat.", "top": []}]
  assert _read(_json(tmp_path, content)) == {"a.jpg": ("A cat.",)}


def test_predictions(tmp_path):
  answers = [{"caption": "A cat.", "probability": 0.5}, {"caption": "A dog."}]
  content = [{"image": "photos/a.jpg", "top": answers}]
  assert _read(_json(tmp_path, content)) == {"a.jpg": ("A cat.",)}
  content.append({"image": "b.jpg", "error": "not an image"})
  with pytest.raises(
    ValueError, match=r"1 of 2 images could not be read .*: b\.jpg; repair"
  ):
    _read(_json(tmp_path, content))
  classes = [{"image": "a.jpg", "top": [{"class": "cat"}]}]
  with pytest.raises(ValueError, match="caption' is missing"):
    _read(_json(tmp_path, classes))


def test_mappings(tmp_path):
  content = {"a": "A cat.", "b": ["A dog.", "Dogs."]}
  expected = {"a": ("A cat.",), "b": ("A dog.", "Dogs.")}
  assert _read(_json(tmp_path, content)) == expected


def test_lines(tmp_path):
  path = tmp_path / "lines.txt"
  path.write_bytes("\ufeffA caf\xe9.\r\n\r\nB\tc.\r\n".encode())
  assert _read(path) == {"1": ("A caf\xe9.",), "2": ("",), "3": ("B c.",)}


@pytest.mark.parametrize("name", ["lines", "lines.TXT", "lines.token"])
def test_endings_of_text(name, tmp_path):
  path = tmp_path / name
  path.write_text("A cat.\n")
  assert _read(path) == {"1": ("A cat.",)}


def test_the_ending_of_json_may_be_capital(tmp_path):
  path = _json(tmp_path, {"a": "A cat."}).rename(tmp_path / "a.JSON")
  assert _read(path) == {"a": ("A cat.",)}


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".npz"])
def test_other_endings_are_refused(ending, tmp_path):
  path = tmp_path / f"captions{ending}"
  path.write_text("A cat.\n")
  with pytest.raises(ValueError, match=r"captions are JSON in \.json, or text"):
    caption_files.read(path)


def test_the_text_of_a_field_has_one_caption_a_line():
  found = caption_files.together(["A\n cat. ", " ", "Dogs."])
  assert found == "A cat.\nDogs."


@pytest.mark.parametrize(
  ("content", "expected"),
  [
    ("", "is empty"),
    ("{", "is not JSON"),
    ("3", "expected an object {...} or a list [...]"),
    ("{}", "has no caption"),
    ("[]", "has no caption"),
    ("[3]", "'[0]' is 3, not an object; expected COCO's"),
    ('[{"image_id": 3}]', r"'[0].caption' is missing"),
    ('[{"caption": "a"}]', 'entry 1 has neither "image_id" nor "image"'),
    ('{"a": 3}', "'a' is 3, not a list"),
    ('{"a": ["b", 4]}', "'a[1]' is 4, not text"),
    ('{"images": [{"id": 1}], "annotations": []}', "file_name' is missing"),
    ('{"images": [{"filename": "a"}]}', "split' is missing"),
  ],
)
def test_wrong_json_is_one_clear_line(content, expected, tmp_path):
  path = tmp_path / "wrong.json"
  path.write_text(content)
  with pytest.raises(ValueError) as error:
    caption_files.read(path)
  assert expected in str(error.value) and "wrong.json" in str(error.value)


def test_captions_of_absent_images_are_counted(tmp_path):
  path = captioned_files.coco(tmp_path) / "annotations/captions_val2017.json"
  content = json.loads(path.read_text())
  content["images"] = content["images"][:2]
  path.write_text(json.dumps(content))
  with pytest.raises(
    ValueError, match=r'6 captions are of .* "images": 42, 42'
  ):
    caption_files.read(path)


def test_an_image_twice_is_an_error(tmp_path):
  path = captioned_files.coco(tmp_path) / "annotations/captions_val2017.json"
  content = json.loads(path.read_text())
  content["images"].append(content["images"][3])
  path.write_text(json.dumps(content))
  with pytest.raises(ValueError, match="has the image 43 twice"):
    caption_files.read(path)


@pytest.mark.parametrize(
  ("content", "expected"),
  [
    (b"", "is empty"),
    (b"\xff", "is not UTF-8 text"),
    (b"image,caption\na.jpg,A cat.\n", "a table with the columns image,capt"),
    (b"a.jpg#0\tA cat.\nA dog.\n", "line 2 is 'A dog.'; expected NAME.jpg#0"),
  ],
)
def test_wrong_text_is_one_clear_line(content, expected, tmp_path):
  path = tmp_path / "wrong.txt"
  path.write_bytes(content)
  with pytest.raises(ValueError, match=expected):
    caption_files.read(path)


def test_missing_and_empty_captions_are_counted():
  def images(*captions):
    return [
      caption_files.Captioned(str(i), "", "", each)
      for i, each in enumerate(captions)
    ]

  caption_files.check_captions(images(("A.",)), where="w")
  with pytest.raises(
    ValueError, match="w: 2 of 3 images have no caption: 1, 2"
  ):
    caption_files.check_captions(images(("A.",), (), ()), where="w")
  with pytest.raises(
    ValueError, match="1 of 2 images have an empty caption: 1"
  ):
    caption_files.check_captions(images(("A.",), ("B.", "")), where="w")


def test_a_list_has_five_names_and_no_control_character():
  assert caption_files.listed(["a", "b\x1b", 3]) == r"a, b\x1b, 3"
  assert caption_files.listed(range(6)) == "0, 1, 2, 3, 4, ..."
  assert caption_files.listed(range(5)) == "0, 1, 2, 3, 4"
