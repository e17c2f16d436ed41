import os
import pathlib

import numpy as np
import pytest
import written_sources
from written_sources import config, png, write_tar

from jaxvision import data
from jaxvision.data.sources import webdataset


def opened(name, split="train", **changes):
  return data.open_dataset(config("webdataset", name, **changes), split)


def shard(path, labels, *, extension="cls", first=0, image="png"):
  """Writes a shard; image i has the i-th label as the content of a file."""
  path.parent.mkdir(parents=True, exist_ok=True)
  members = []
  for number, label in enumerate(labels):
    stem = f"{number:03}"
    members.append((f"{stem}.{image}", png(first + number)))
    members.append((f"{stem}.{extension}", label.encode()))
  write_tar(path, members)
  return path


def by_number(dataset):
  """{number of the image: name of its class}."""
  found = {}
  for image, label in dataset.read(range(dataset.num_examples)):
    number = int(data.decode(image, channels=3)[0, 0, 0])
    found[number] = dataset.class_names[label]
  return found


@pytest.mark.parametrize(
  ("extension", "labels", "names"),
  [
    ("cls", ["0", "2\n", " 1"], {0: "0", 1: "2", 2: "1"}),
    ("cls", ["dog", "ant", "dog"], {0: "dog", 1: "ant", 2: "dog"}),
    ("txt", ["dog", "7", "dog"], {0: "dog", 1: "7", 2: "dog"}),
    ("txt", ["1", "0", "0"], {0: "1", 1: "0", 2: "0"}),
    ("json", ['{"label": 1, "w": 5}', '{"cls": 0}', "2"], {0: "1", 1: "0"}),
    ("json", ['{"label": "猫"}', '{"label": "a"}'], {0: "猫", 1: "a"}),
  ],
)
def test_labels_are_read_in_each_form(tmp_path, extension, labels, names):
  shard(tmp_path / "0.tar", labels, extension=extension)
  found = by_number(opened(tmp_path))
  assert {key: found[key] for key in names} == names
  assert len(found) == len(labels)


def test_a_number_comes_before_a_caption(tmp_path):
  members = [
    ("1.jpg", png(0)),
    ("1.txt", b"a photo of a cat"),
    ("1.json", b'{"width": 5}'),
    ("1.cls", b"3"),
    ("2.jpg", png(1)),
    ("2.txt", b"1"),
    ("2.json", b'{"width": 5, "label": null}'),
  ]
  write_tar(tmp_path / "0.tar", members)
  assert by_number(opened(tmp_path)) == {0: "3", 1: "1"}


def test_names_beside_the_shards_name_the_numbers(tmp_path):
  shard(tmp_path / "test" / "0.tar", ["1", "0", "1"])
  (tmp_path / "classnames.txt").write_text("ant\nbee\n猫\n\n", "utf-8")
  dataset = opened(tmp_path, "test")
  assert dataset.class_names == ("ant", "bee", "猫")
  assert by_number(dataset) == {0: "bee", 1: "ant", 2: "bee"}
  (tmp_path / "classnames.txt").write_text("ant\n")
  with pytest.raises(
    ValueError, match=r"label 1 of .*0\.tar/\d+\.png .*the 1 cl"
  ):
    opened(tmp_path, "test")
  (tmp_path / "classnames.txt").write_bytes(b"\xef\xbb\xbfant\r\nbee\r\n")
  assert opened(tmp_path, "test").class_names == ("ant", "bee")


def test_classes_count_over_all_splits(tmp_path):
  shard(tmp_path / "x-train-0.tar", ["0", "1"])
  shard(tmp_path / "x-val-0.tar", ["4"])
  assert opened(tmp_path).class_names == tuple("01234")
  assert len(opened(tmp_path, num_classes=7).class_names) == 7


@pytest.mark.parametrize(
  ("names", "sizes"),
  [
    (["0.tar", "1.tar"], {"train": 2}),
    (["zoo-train-00.tar", "zoo-validation-00.tar"], [1, 1, 0]),
    (["TRAIN_1.tar", "val_1.tar", "test1.tar", "train2.tar"], [2, 1, 1]),
    (["train/0.tar", "val/0.tar", "val/1.tar"], [1, 2, 0]),
    (["portrain-0.tar", "contest-1.tar"], {"train": 2}),
    (["training-0.tar", "testing-0.tar"], [1, 0, 1]),
    (["zoo-trn-0.tar", "zoo-dev-0.tar", "zoo_tst_0.tar"], [1, 1, 1]),
    (["train-0.tar", "eval-0.tar"], [1, 1, 0]),
    (["zooTrain0.tar", "zooVal2017.tar"], [1, 1, 0]),
    (["trainset.tar", "testdata.tar"], [1, 0, 1]),
    (["trn/0.tar", "dev/0.tar", "testing/0.tar"], [1, 1, 1]),
    (["dev-0.tar"], [0, 1, 0]),
  ],
)
def test_splits_are_in_the_names(tmp_path, names, sizes):
  for number, name in enumerate(names):
    shard(tmp_path / name, ["0"], first=number)
  if isinstance(sizes, list):
    splits = ("train", "validation", "test")
    sizes = {k: v for k, v in zip(splits, sizes, strict=True) if v}
  assert data.split_sizes(config("webdataset", tmp_path)) == sizes


def test_patterns_and_single_files(tmp_path):
  for number in range(3):
    shard(tmp_path / f"{number}.tar", ["0"], first=number)
  assert opened(tmp_path / "[01].tar").num_examples == 2
  assert opened(tmp_path / "2.tar").num_examples == 1
  for name in ("none-*.tar", "nowhere"):
    with pytest.raises(FileNotFoundError, match=r"no \.tar in .*no"):
      opened(tmp_path / name)


def test_ids_name_shard_and_example(tmp_path):
  shard(tmp_path / "0.tar", ["0", "0"])
  assert sorted(opened(tmp_path).ids([0, 1])) == [
    f"{tmp_path}/0.tar/000.png",
    f"{tmp_path}/0.tar/001.png",
  ]


def test_slices_are_stratified(tmp_path):
  shard(tmp_path / "0.tar", ["a"] * 40 + ["b"] * 10)
  head = opened(tmp_path, "train[:50%]")
  assert np.bincount(head.labels()).tolist() == [20, 5]


@pytest.mark.parametrize(
  ("members", "message"),
  [
    ([("1.cls", b"0")], r"0\.tar, example '1' has 0 images among .*'cls'"),
    ([("1.png", b""), ("1.jpg", b""), ("1.cls", b"0")], "has 2 images"),
    (
      [("1.png", b""), ("1.cls", b"caf\xe9")],
      "is not UTF-8 text .*write it",
    ),
    ([("1.png", b""), ("1.json", b'{"label": "\xe9"}')], "is not UTF-8 text"),
    ([("1.png", b"")], r"no label among its files \['png'\]; expected \.cls"),
    ([("1.png", b""), ("1.json", b"{")], r"example '1', \.json: Expecting"),
    ([("1.png", b""), ("1.txt", b"\xff")], r"example '1', \.txt is not UTF-8"),
    (
      [("1.png", b""), ("1.cls", b"-1")],
      r"1\.png: the label is -1;",
    ),
    ([], "contains no file"),
  ],
)
def test_broken_examples_are_explained(tmp_path, members, message):
  write_tar(tmp_path / "0.tar", members)
  with pytest.raises(ValueError, match=message):
    opened(tmp_path)


@pytest.mark.parametrize("stray", ["other-1.tar", "train-val.tar"])
def test_every_shard_or_none_names_a_split(tmp_path, stray):
  shard(tmp_path / "train-1.tar", ["0"])
  shard(tmp_path / stray, ["0"])
  with pytest.raises(
    ValueError, match=f"{stray} contains no split, or several"
  ):
    opened(tmp_path)


def test_members_are_listed_once(tmp_path, monkeypatch):
  cut = written_sources.tars(tmp_path)
  for path in tmp_path.iterdir():
    os.utime(path, ns=(10**18, 10**18))
  first = data.open_dataset(cut, "train+test")
  monkeypatch.setattr(webdataset, "_list_all", lambda paths: paths[-1])
  again = data.open_dataset(cut, "train+test")
  every = range(first.num_examples)
  assert first.ids(every) == again.ids(every)
  assert first.read(every) == again.read(every)
  monkeypatch.undo()
  extra = shard(pathlib.Path(cut.name) / "zoo-train-9999.tar", ["2"])
  more = data.open_dataset(cut, "train+test")
  assert more.num_examples == first.num_examples + 1
  assert any(str(extra) in each for each in more.ids(range(len(every) + 1)))


@pytest.mark.parametrize("odd_in", ["train", "val"])
def test_numbers_or_names_is_one_decision_for_all_splits(
  tmp_path, odd_in, caplog
):
  """With numbers up to 10 and one word, each label is a separate class."""
  texts = {"train": ["10", "2", "7"], "val": ["2", "10", "7"]}
  texts[odd_in] = [*texts[odd_in], "dog"]
  for split, labels in texts.items():
    shard(tmp_path / f"{split}-0.tar", labels)
  named = {"train": "train", "val": "validation"}
  for split, labels in texts.items():
    found = by_number(opened(tmp_path, named[split]))
    assert found == dict(enumerate(labels))
  assert "1 of 7 distinct labels are not numbers, such as 'dog'" in caplog.text
  assert "003.png" in caplog.text


@pytest.mark.parametrize("extension", ["cls", "txt"])
@pytest.mark.parametrize(
  "label",
  [
    *("", " \n", "[0, 1, 0]", "{}", "3.0", "1e3", "true", "False", "null"),
    *("nan", "a\nb", "x" * 2000, "a\x1b[31m"),
  ],
)
def test_the_error_of_an_invalid_label_names_the_file(
  tmp_path, label, extension
):
  shard(tmp_path / "0.tar", ["dog", label, "cat"], extension=extension)
  with pytest.raises(ValueError, match=r"0\.tar.*001.*expected"):
    opened(tmp_path)


@pytest.mark.parametrize(
  "label",
  [
    *("3.0", "true", "[0, 1]", '{"label": 3.0}', '{"label": false}'),
    *('{"cls": []}', '{"label": {"id": 3}}', '{"label": 1, "label": 2}'),
    *('{"label": NaN}', '{"label": ""}', '{"label": " "}', "[" * 100_000),
  ],
)
def test_the_error_of_an_invalid_json_label_names_the_file(tmp_path, label):
  shard(tmp_path / "0.tar", ["1", label], extension="json")
  with pytest.raises(ValueError, match=r"0\.tar, example '001', \.json"):
    opened(tmp_path)


def test_names_with_marks_and_in_parts_are_one_class(tmp_path):
  """A byte-order mark, and accents as one character or as two."""
  composed, apart = "\u00e9t\u00e9", "e\u0301te\u0301"
  labels = [composed, apart, "\ufeff" + composed, f" {apart}\r\n"]
  shard(tmp_path / "train-0.tar", [*labels, f'"{composed}"'])
  shard(tmp_path / "val-0.tar", [f'{{"label": "{apart}"}}'], extension="json")
  for split, count in (("train", 5), ("validation", 1)):
    dataset = opened(tmp_path, split)
    assert dataset.class_names == (composed,)
    assert dataset.num_examples == count


def test_numbers_with_signs_and_zeros_are_numbers(tmp_path):
  shard(tmp_path / "0.tar", ["007", "+1", "0", "\ufeff2"])
  assert by_number(opened(tmp_path)) == {0: "7", 1: "1", 2: "0", 3: "2"}


@pytest.mark.parametrize(
  "label", ["999999999", "30001", "99999999999999999999999"]
)
def test_one_wrong_label_does_not_make_a_billion_classes(tmp_path, label):
  shard(tmp_path / "0.tar", ["0", label, "1"])
  with pytest.raises(
    ValueError, match=rf"0\.tar/001\.png.*{label}.*correct it"
  ):
    opened(tmp_path)


def test_a_label_far_above_the_others_gives_a_warning(tmp_path, caplog):
  shard(tmp_path / "0.tar", ["0", "5000", "1"])
  assert len(opened(tmp_path).class_names) == 5001
  assert "the largest label is 5000" in caplog.text and "001.png" in caplog.text
  caplog.clear()
  assert len(opened(tmp_path, num_classes=6000).class_names) == 6000
  assert not caplog.text


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ("crane\nbee\ncrane\n", "classes 0 and 2 have the same name 'crane'"),
    ("ant\n\nbee\n", "line 2 is empty"),
    ("\u00e9\nbee\ne\u0301\n", "classes 0 and 2 have the same name"),
    ("1\n0\n2\n", "'1' is the name of class 0 .* another class"),
  ],
)
def test_names_that_do_not_tell_classes_apart_are_refused(
  tmp_path, content, message
):
  shard(tmp_path / "0.tar", ["0", "1", "2"])
  (tmp_path / "classnames.txt").write_text(content, "utf-8")
  with pytest.raises(ValueError, match=message):
    opened(tmp_path)


@pytest.mark.parametrize(
  ("names", "message"),
  [
    (["val-0.tar", "dev-0.tar"], "which both mean the validation split"),
    (["train-0.tar", "holdout-0.tar"], "split of .*holdout-0.* is ambiguous"),
    (["trainval-0.tar"], "is ambiguous"),
    (["0.tar", "val/0.tar"], "has shards .* and folders of shards"),
    (["0.tar", "1.TAR"], r"1\.TAR .* would be skipped"),
    (["0.tar", "1.tar.gz"], r"1\.tar\.gz .* would be skipped"),
  ],
)
def test_shards_are_never_training_data_by_mistake(tmp_path, names, message):
  for name in names:
    shard(tmp_path / name, ["0"])
  with pytest.raises(ValueError, match=message):
    opened(tmp_path)


def test_shards_of_several_names_give_a_warning(tmp_path, caplog):
  shard(tmp_path / "tr-0.tar", ["0"])
  shard(tmp_path / "te-0.tar", ["0"])
  assert opened(tmp_path).num_examples == 2
  assert "names of 2 kinds (te-#, tr-#)" in caplog.text


def test_hidden_members_and_shards_are_left_out(tmp_path):
  members = [("1.jpg", png(0)), ("1.cls", b"0"), ("._1.jpg", b"\0\5\x16\7")]
  members += [("__MACOSX/._1.jpg", b""), (".ipynb_checkpoints/1.jpg", b"")]
  write_tar(tmp_path / "0.tar", members)
  (tmp_path / "._0.tar").write_bytes(b"\0\5\x16\7")
  assert opened(tmp_path).num_examples == 1
