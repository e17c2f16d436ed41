"""Masks and captions are read alike from every kind of data set."""

import csv
import io
import json
import pathlib

import numpy as np
import pytest
import written_sources
from PIL import Image
from written_sources import config

from jaxvision import data
from jaxvision.data.sources import image_fields

CLASSES = ("ant", "bee")
COUNT = 12


def png(pixels):
  file = io.BytesIO()
  Image.fromarray(pixels).save(file, "PNG")
  return file.getvalue()


def image_of(number):
  return np.full((4, 5, 3), number * 10, np.uint8)


def mask_of(number):
  mask = np.zeros((4, 5), np.uint8)
  mask[number % 4, number % 5] = number + 1
  return mask


def caption_of(number):
  return f"Picture {number}, a «{CLASSES[number % 2]}»."


def write_tfds(folder):
  import tensorflow_datasets as tfds

  directory = folder / "zoo" / "1.0.0"
  directory.mkdir(parents=True)
  features = tfds.features
  features.FeaturesDict(
    {
      "image": features.Image(shape=(None, None, 3), encoding_format="png"),
      "label": features.ClassLabel(names=CLASSES),
      "segmentation_mask": features.Image(
        shape=(None, None, 1), encoding_format="png"
      ),
      "caption": features.Text(),
    }
  ).save_config(directory)
  records = [
    written_sources.tf_example(
      {
        "image": [png(image_of(i))],
        "label": [i % 2],
        "segmentation_mask": [png(mask_of(i))],
        "caption": [caption_of(i).encode()],
      }
    )
    for i in range(COUNT)
  ]
  name = "zoo-train.array_record-00000-of-00001"
  written_sources.write_array_record(directory / name, records)
  described = {
    "name": "train",
    "shardLengths": [str(COUNT)],
    "numBytes": "1",
    "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
  }
  info = {"name": "zoo", "version": "1.0.0", "fileFormat": "array_record"}
  (directory / "dataset_info.json").write_text(
    json.dumps({**info, "splits": [described]})
  )
  return config("tfds", "zoo", data_dir=folder)


def write_table(folder, rows, columns=("file_name", "caption")):
  with (folder / "metadata.csv").open("w", newline="") as file:
    csv.writer(file).writerows([columns, *rows])


def write_folder(folder):
  rows = []
  for i in range(COUNT):
    path = folder / CLASSES[i % 2] / f"{i:02}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(image_of(i)))
    path.with_suffix(".mask.png").write_bytes(png(mask_of(i)))
    rows.append((path.relative_to(folder).as_posix(), caption_of(i)))
  write_table(folder, rows)
  return config("folder", folder)


def write_labels_table(folder):
  write_folder(folder)
  lines = [
    f"{CLASSES[i % 2]}/{i:02}.png,{CLASSES[i % 2]}" for i in range(COUNT)
  ]
  text = "\n".join(["file,labels", *lines])
  (folder / "labels.csv").write_text(text)
  return config("folder", folder, labels="sets")


def write_npz(folder):
  np.savez(
    folder / "zoo.npz",
    images=np.stack([image_of(i) for i in range(COUNT)]),
    labels=np.arange(COUNT) % 2,
    segmentation_masks=np.stack([mask_of(i) for i in range(COUNT)]),
    captions=np.asarray([caption_of(i) for i in range(COUNT)]),
    class_names=np.asarray(CLASSES),
  )
  return config("npz", folder / "zoo.npz")


def write_tars(folder):
  for shard in range(2):
    members = []
    for i in range(shard, COUNT, 2):
      members += [
        (f"{i:02}.png", png(image_of(i))),
        (f"{i:02}.{'mask' if i % 4 else 'seg'}.png", png(mask_of(i))),
        (f"{i:02}.cls", str(i % 2).encode()),
        (f"{i:02}.txt", caption_of(i).encode()),
      ]
    written_sources.write_tar(folder / f"zoo-{shard}.tar", members)
  (folder / "classnames.txt").write_text("\n".join(CLASSES))
  return config("webdataset", folder)


OWN = """
import numpy as np
from jaxvision import data


def load(name):
  from test_fields_values import COUNT, caption_of, image_of, mask_of

  return data.Dataset(
    name="own",
    split="train",
    class_names=("ant", "bee"),
    num_examples=COUNT,
    ids=lambda indices: [str(i) for i in indices],
    labels=lambda: np.arange(COUNT) % 2,
    read=lambda indices: [(image_of(i), i % 2) for i in indices],
    fields=lambda: {
      "segmentation_mask": data.Field(
        "mask", lambda indices: [mask_of(i) for i in indices]
      ),
      "caption": data.Field(
        "text", lambda indices: [caption_of(i) for i in indices]
      ),
    },
  )
"""


def write_own(folder):
  path = folder / "own.py"
  values = pathlib.Path(__file__).read_text()
  functions = values[values.index("def image_of") : values.index("def write_t")]
  head = f"import numpy as np\nCOUNT = {COUNT}\nCLASSES = {CLASSES}\n\n\n"
  (folder / "test_fields_values.py").write_text(head + functions)
  path.write_text(OWN)
  return config(f"{path}:load", "")


def write_mixture(folder):
  for name in ("a", "b"):
    (folder / name).mkdir()
  write_folder(folder / "a")
  write_tars(folder / "b")
  sources = (
    (1.0, "folder", str(folder / "a"), "train[:50%]"),
    (2.0, "webdataset", str(folder / "b"), "train"),
  )
  return config("mixture", sources=sources)


WRITERS = {
  "tfds": write_tfds,
  "folder": write_folder,
  "labels.csv": write_labels_table,
  "npz": write_npz,
  "webdataset": write_tars,
  "own": write_own,
  "mixture": write_mixture,
}


def numbers_of(dataset, indices):
  """The numbers of examples, by the values of their images."""
  images = [image for image, _ in dataset.read(indices)]
  pixels = [
    data.decode(each, channels=3) if isinstance(each, bytes) else each
    for each in images
  ]
  return [int(each[0, 0, 0]) // 10 for each in pixels]


@pytest.mark.parametrize("split", ["train", "train[25%:]+train[:2]"])
@pytest.mark.parametrize("kind", WRITERS)
def test_fields_belong_to_their_images(kind, split, tmp_path):
  opened = data.open_dataset(WRITERS[kind](tmp_path), split)
  fields = opened.fields()
  assert {"segmentation_mask", "caption"} <= set(fields)
  order = np.random.default_rng(0).permutation(opened.num_examples).tolist()
  numbers = numbers_of(opened, order)
  captions = fields["caption"].read(order)
  assert captions == [caption_of(number) for number in numbers]
  for value, number in zip(
    fields["segmentation_mask"].read(order), numbers, strict=True
  ):
    if isinstance(value, bytes):
      value = data.decoding.decode_mask(value)
    np.testing.assert_array_equal(np.reshape(value, (4, 5)), mask_of(number))
  assert opened.num_examples >= COUNT - 1


@pytest.mark.parametrize("kind", WRITERS)
def test_masks_are_no_images(kind, tmp_path):
  opened = data.open_dataset(WRITERS[kind](tmp_path), "train")
  assert opened.num_examples == COUNT + (COUNT // 2) * (kind == "mixture")


@pytest.mark.parametrize("kind", ["folder", "npz", "webdataset"])
def test_a_part_without_a_field_makes_the_whole_lack_it(kind, tmp_path):
  (tmp_path / "more").mkdir()
  more = WRITERS[kind](tmp_path / "more")
  (tmp_path / "less").mkdir()
  less = written_sources.images(tmp_path / "less")
  sources = (
    (1, more.kind, more.name, "train"),
    (1, less.kind, less.name, "train"),
  )
  opened = data.open_dataset(config("mixture", sources=sources), "train")
  assert opened.fields() == {}
  batches = data.make_batches(opened, batch_size=4)
  wanted = {"segmentation_mask": ((4, 5, 1), np.uint8)}
  message = f"'segmentation_mask', which {tmp_path}/less .* images and labels"
  with pytest.raises(ValueError, match=message):
    batches.with_fields(wanted)


def test_a_field_that_some_images_lack_is_left_out(tmp_path, caplog):
  opened = data.open_dataset(write_folder(tmp_path), "train")
  (tmp_path / "ant" / "04.mask.png").unlink()
  assert list(opened.fields()) == ["caption"]
  assert "1 of 12 images have no masks, such as " in caplog.text
  assert "04.png" in caplog.text
  write_table(tmp_path, [("ant/00.png", "One")], ("file_name", "text"))
  assert opened.fields() == {}
  assert "11 of 12 images have no captions" in caplog.text


def test_captions_of_hugging_face_are_read_too(tmp_path):
  write_folder(tmp_path)
  rows = [
    (f"{CLASSES[i % 2]}/{i:02}.png", i, caption_of(i)) for i in range(COUNT)
  ]
  write_table(tmp_path, rows, ("file_name", "views", "text"))
  opened = data.open_dataset(config("folder", tmp_path), "train")
  (caption,) = opened.fields()["caption"].read([0])
  assert caption == caption_of(numbers_of(opened, [0])[0])


def test_a_table_of_other_columns_is_named(tmp_path):
  write_folder(tmp_path)
  write_table(tmp_path, [("ant/00.png", "One")], ("image", "caption"))
  opened = data.open_dataset(config("folder", tmp_path), "train")
  with pytest.raises(
    ValueError, match=r"metadata\.csv has the columns .*file_"
  ):
    opened.fields()


def test_a_name_like_a_mask_without_its_image_is_an_image():
  names = [b"1.jpg", b"1.mask.png", b"2.mask.png", b"3.png"]
  assert image_fields.without_masks(names) == [names[0], *names[2:]]


def test_a_label_in_a_txt_is_no_caption(tmp_path):
  members = [
    ("1.png", png(image_of(1))),
    ("1.txt", b"bee"),
    ("2.png", png(image_of(2))),
    ("2.txt", b"ant"),
  ]
  written_sources.write_tar(tmp_path / "zoo.tar", members)
  opened = data.open_dataset(config("webdataset", tmp_path), "train")
  assert opened.fields() == {} and opened.class_names == CLASSES


def test_captions_that_are_no_text_are_unreadable(tmp_path):
  of = write_tars(tmp_path)
  for path in tmp_path.glob("*.tar"):
    content = path.read_bytes()
    path.write_bytes(content.replace(b"Picture 2", b"Picture \xff"))
  opened = data.open_dataset(of, "train")
  with pytest.raises(OSError, match=r"a caption in .*zoo-0\.tar is not UTF-8"):
    opened.fields()["caption"].read(range(COUNT))


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (
      {"captions": np.asarray(["a"])},
      r"captions are <U1\[1\]; expected one text for each of the 12",
    ),
    (
      {"segmentation_masks": np.zeros((COUNT, 9, 5), np.uint8)},
      r"masks are uint8\[12, 9, 5\]; expected uint8\[12, 4, 5, 1\]",
    ),
    (
      {"segmentation_masks": np.zeros((COUNT, 4, 5), np.float32)},
      r"segmentation masks are float32",
    ),
  ],
)
def test_arrays_that_do_not_fit_are_named(change, message, tmp_path):
  write_npz(tmp_path)
  with np.load(tmp_path / "zoo.npz") as arrays:
    np.savez(tmp_path / "zoo.npz", **{**arrays, **change})
  with pytest.raises(ValueError, match=message):
    data.open_dataset(config("npz", tmp_path / "zoo.npz"), "train")


@pytest.mark.parametrize("kind", ["folder", "npz", "webdataset"])
def test_fields_do_not_change_the_identity_of_data(kind, tmp_path):
  of = WRITERS[kind](tmp_path)
  opened = data.open_dataset(of, "train")
  before = data.identify({"train": opened})[0]
  opened.fields()
  assert data.identify({"train": opened})[0] == before
