"""The eight variants of any data set, against loops over pixels."""

import concurrent.futures
import csv
import itertools
import json
import pathlib

import numpy as np
import pytest
from background_sets import VARIANTS, write_cut_outs
from PIL import Image

from jaxvision import data
from jaxvision.data.preparation import mixed, places, scenes

SIDE = 16
CLASSES = ("00_cat", "01_ant", "02_bee")


@pytest.fixture
def cut_outs(tmp_path):
  path = tmp_path / "cut_outs.npz"
  return path, *write_cut_outs(path, side=SIDE)


def make(path, folder, *, splits=None, rules=None, **more):
  source = data.Source(kind="npz", name=str(path))
  return data.make_backgrounds(
    source,
    folder,
    splits=splits or {"validation": "train"},
    rules=rules or data.ForegroundRules(size=SIDE),
    **more,
  )


def pictures_of(folder, variant, split="val"):
  """{class folder/name: pixels or mask} of a variant."""
  paths = sorted((folder / variant / split).glob("*/*"))
  ending = ".npy" if variant == "fg_mask" else ".png"
  assert {path.suffix for path in paths} == {ending}
  load = np.load if ending == ".npy" else lambda p: np.asarray(Image.open(p))
  return {f"{path.parent.name}/{path.stem}": load(path) for path in paths}


def backgrounds_of(folder):
  """{(variant, class folder/name): class folder/name of the background}."""
  text = (folder / "mixed.csv").read_text()
  rows = list(csv.DictReader(text.splitlines()))
  return {
    (row["variant"], f"{row['class']}/{row['name']}"): row["background"]
    for row in rows
  }


def slow_tiled(image, mask):
  """Only-BG-T by loops; of equal strips above, below, left, right."""
  rows, columns = np.nonzero(mask)
  top, left = rows.min(), columns.min()
  bottom, right = rows.max() + 1, columns.max() + 1
  strips = [
    (0, top, 0, SIDE),
    (bottom, SIDE, 0, SIDE),
    (0, SIDE, 0, left),
    (0, SIDE, right, SIDE),
  ]
  sizes = [(b - a) * (d - c) for a, b, c, d in strips]
  a, b, c, d = strips[sizes.index(max(sizes))]
  made = image.copy()
  for r, q in itertools.product(range(top, bottom), range(left, right)):
    made[r, q] = image[a + r % (b - a), c + q % (d - c)]
  return made


def slow_choice(inside, outside, mask):
  made = np.zeros_like(inside)
  for r, q in itertools.product(range(SIDE), range(SIDE)):
    made[r, q] = inside[r, q] if mask[r, q] else outside[r, q]
  return made


def test_every_variant_is_that_of_loops_over_pixels(cut_outs, tmp_path):
  path, images, masks, labels = cut_outs
  folder = tmp_path / "made"
  made = make(path, folder, rules=data.ForegroundRules(size=SIDE, seed=3))
  assert made.counts == {"validation": 12}
  assert made.left_out == {"validation": {}}
  found = {name: pictures_of(folder, name) for name in VARIANTS}
  found_masks = pictures_of(folder, "fg_mask")
  black, behind = np.zeros((SIDE, SIDE, 3), np.uint8), backgrounds_of(folder)
  assert all(each.keys() == found_masks.keys() for each in found.values())
  assert len(behind) == 3 * 12
  by_pixels = {image.tobytes(): i for i, image in enumerate(images)}
  indices = {}
  for name, image in found["original"].items():
    index = indices[name] = by_pixels[image.tobytes()]
    assert name.startswith(CLASSES[labels[index]])
    mask = masks[index] == 255
    np.testing.assert_array_equal(found_masks[name], mask)
    rows, columns = np.nonzero(mask)
    box = np.zeros_like(mask)
    box[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    expected = {
      "only_bg_b": slow_choice(black, image, box),
      "only_bg_t": slow_tiled(image, mask),
      "no_fg": slow_choice(black, image, mask),
      "only_fg": slow_choice(image, black, mask),
    }
    for variant in ("mixed_same", "mixed_rand", "mixed_next"):
      other = found["only_bg_t"][behind[variant, name]]
      expected[variant] = slow_choice(image, other, mask)
    for variant, each in expected.items():
      np.testing.assert_array_equal(found[variant][name], each, variant)
  assert sorted(indices.values()) == list(range(12))
  for (variant, name), other in behind.items():
    assert other != name
    distance = labels[indices[other]] - labels[indices[name]]
    if variant != "mixed_rand":
      assert distance % 3 == (variant == "mixed_next")
  about = json.loads((folder / "backgrounds.json").read_text())
  assert about["counts"] == {"validation": 12} and about["seed"] == 3


def test_the_result_follows_from_seed_and_data_alone(cut_outs, tmp_path):
  path = cut_outs[0]
  for name, seed, threads in (("a", 1, 0), ("b", 1, 4), ("c", 2, 2)):
    rules = data.ForegroundRules(size=SIDE, seed=seed)
    make(path, tmp_path / name, rules=rules, threads=threads)
  contents = {
    name: {
      file.relative_to(tmp_path / name): file.read_bytes()
      for file in (tmp_path / name).rglob("*")
      if file.is_file()
    }
    for name in "abc"
  }
  assert contents["a"] == contents["b"]
  mixed_csv = pathlib.Path("mixed.csv")
  assert contents["a"][mixed_csv] != contents["c"][mixed_csv]


def test_the_class_of_a_random_background_is_uniform():
  by_class = {
    label: [
      places.Place(10 * label + i, label, "train", f"{label}", f"{i}")
      for i in range(5)
    ]
    for label in range(4)
  }
  place, counts, own = by_class[1][2], np.zeros(4), set()
  for seed in range(2000):
    rng = places.make_rng(seed, "mixed_rand", place)
    drawn = mixed.draw(place, by_class, "mixed_rand", rng)
    counts[drawn.label] += 1
    own |= {drawn.name} if drawn.label == 1 else set()
  # Four standard deviations of a binomial distribution.
  assert abs(counts - 500).max() < 4 * np.sqrt(2000 * 0.25 * 0.75)
  assert own == {"0", "1", "3", "4"}


def test_splits_are_kept_and_read_by_the_reader(cut_outs, tmp_path):
  splits = {"train": "train[:50%]", "test": "train[50%:]"}
  folder = tmp_path / "made"
  made = make(cut_outs[0], folder, splits=splits)
  assert made.counts == {"train": 6, "test": 6}
  assert not list(tmp_path.glob("*.unfinished"))
  for split, variant in itertools.product(("train", "test"), VARIANTS):
    opened = data.open_variant(folder, variant, split=split)
    assert opened.num_examples == 6 and opened.class_names == CLASSES
  masks = data.open_variant(folder, "original", split="test").fields()
  assert set(masks) == {"segmentation_mask"}
  names = [set(pictures_of(folder, "original", s)) for s in ("train", "test")]
  assert not names[0] & names[1]
  images, titles = data.sample_variants(folder, split="test", rows=2)
  assert titles == [*VARIANTS] * 2 and len(images) == 16
  with pytest.raises(FileExistsError, match="exists"):
    make(cut_outs[0], folder)


def test_images_are_left_out_with_a_reason(tmp_path):
  path = tmp_path / "cut_outs.npz"
  images, masks, labels = write_cut_outs(path, side=SIDE)
  masks[0], masks[5], masks[9] = 0, 255, 255
  masks[9, 0] = 0  # a box of 15/16 of the image
  np.savez(
    path,
    images=images,
    labels=labels,
    segmentation_masks=masks,
    class_names=["cat", "ant", "bee"],
  )
  made = make(path, tmp_path / "made")
  assert made.counts == {"validation": 9}
  reasons = sorted(made.left_out["validation"].values())
  assert [reason[:30] for reason in reasons] == [
    "the box is 100.0% of the crop;",
    "the box is 93.8% of the crop; ",
    "the mask has no value from 128",
  ]
  about = json.loads((tmp_path / "made" / "backgrounds.json").read_text())
  assert about["left_out"] == made.left_out
  assert len(pictures_of(tmp_path / "made", "mixed_next")) == 9


def test_a_class_without_images_is_an_error(tmp_path):
  path = tmp_path / "cut_outs.npz"
  images, masks, labels = write_cut_outs(path, side=SIDE)
  np.savez(path, images=images, labels=labels, segmentation_masks=masks * 0)
  with pytest.raises(ValueError, match=r"no usable image of .*12 images"):
    make(path, tmp_path / "made")
  assert not (tmp_path / "made").exists()
  np.savez(path, images=images, labels=labels)
  with pytest.raises(ValueError, match="no field 'segmentation_mask'"):
    make(path, tmp_path / "made")


def test_a_failure_leaves_nothing_and_old_work_is_removed(cut_outs, tmp_path):
  path, images, masks, labels = cut_outs
  work = tmp_path / "made.unfinished"
  (work / "original/val/00_cat").mkdir(parents=True)
  (work / "original/val/00_cat/old.png").write_bytes(b"of a killed process")
  (work / "mixed.csv.part").write_bytes(b"")
  assert make(path, tmp_path / "made").counts == {"validation": 12}
  assert len(pictures_of(tmp_path / "made", "original")) == 12
  assert not (tmp_path / "made" / "mixed.csv.part").exists()
  np.savez(path, images=images, labels=labels, segmentation_masks=masks * 0)
  with pytest.raises(ValueError, match="no usable image"):
    make(path, tmp_path / "other")
  assert not [*tmp_path.glob("other*")] and not work.exists()


def test_two_calls_with_one_folder_do_not_mix(cut_outs, tmp_path, monkeypatch):
  """The second call begins while the first one writes."""
  path, folder = cut_outs[0], tmp_path / "made"
  write, second = mixed.write, []

  def interrupted(*arguments, **options):
    if not second:
      rules = data.ForegroundRules(size=SIDE // 2)
      second.append(pool.submit(make, path, folder, rules=rules))
      concurrent.futures.wait(second, timeout=1)
    return write(*arguments, **options)

  monkeypatch.setattr(mixed, "write", interrupted)
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    make(path, folder)
    with pytest.raises(FileExistsError, match="exists"):
      second[0].result()
  sizes = {
    len(each) for v in VARIANTS for each in pictures_of(folder, v).values()
  }
  assert sizes == {SIDE}
  assert not [*tmp_path.glob("*.unfinished")]


def test_names_of_any_bytes_are_distinct(tmp_path):
  r"""Five names that are equal without dots, and one that is not UTF-8."""
  folder = tmp_path / "cut_outs" / "a"
  folder.mkdir(parents=True)
  rng = np.random.default_rng(0)
  names = ["x.a", "x_a", "x_a_000000", "x_a_000001", "x_a_000002", "caf\udce9"]
  mask = np.zeros((16, 16), np.uint8)
  mask[2:6, 3:9] = 255
  for name in [*names, "é in two words"]:
    image = rng.integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(image).save(folder / f"{name}.png")
    Image.fromarray(mask).save(folder / f"{name}.mask.png")
  made = data.make_backgrounds(
    data.Source(kind="folder", name=str(tmp_path / "cut_outs")),
    tmp_path / "made",
    splits={"train": "train"},
    rules=data.ForegroundRules(size=16),
  )
  found = pictures_of(made.folder, "original", "train")
  assert len({each.tobytes() for each in found.values()}) == 7
  rows = (tmp_path / "made" / "mixed.csv").read_text().splitlines()
  assert len(set(rows)) == 1 + 3 * 7


def test_the_values_of_masks_are_checked(cut_outs, tmp_path):
  path, images, _, labels = cut_outs
  rules = data.ForegroundRules(size=SIDE, least=200, most=100)
  with pytest.raises(ValueError, match="least is 200 and most is 100"):
    make(path, tmp_path / "made", rules=rules)
  np.savez(path, images=images, labels=labels)
  rules = data.ForegroundRules(size=SIDE, least=1, most=1, boxes={"0": []})
  with pytest.raises(ValueError, match="values 1 to 1 of masks have no effect"):
    make(path, tmp_path / "made", rules=rules)


def test_a_foreground_that_is_too_small_for_the_crop_is_named(tmp_path):
  path = tmp_path / "small.npz"
  images, masks, labels = write_cut_outs(path, side=SIDE)
  masks[3] = 0
  masks[3, 3, 3] = 255
  np.savez(path, images=images, labels=labels, segmentation_masks=masks)
  made = make(path, tmp_path / "made", rules=data.ForegroundRules(size=4))
  assert list(made.left_out["validation"].values()) == [
    "the crop of 4x4 pixels has no pixel of the foreground, which has 1 pixels "
    "before; use a larger size"
  ]


def test_the_crop_may_lose_half_of_a_box(tmp_path):
  """Wide images: the crop is the square in the middle, columns 8 to 23."""
  images = np.full((6, 16, 32, 3), 90, np.uint8)
  masks = np.zeros((6, 16, 32), np.uint8)
  for mask, first in zip(masks, (2, 3, 4, 5, 10, 19), strict=True):
    mask[4:9, first : first + 8] = 255
  path = tmp_path / "wide.npz"
  np.savez(
    path,
    images=images,
    labels=[0, 0, 0, 0, 0, 0],
    segmentation_masks=masks,
    class_names=["cat"],
  )
  made = make(path, tmp_path / "made")
  # Of 8 columns, 2, 3, 4, 5, 8 and 5 are inside.
  assert made.counts == {"validation": 4}
  reasons = made.left_out["validation"].values()
  assert {r.split(" of")[0] for r in reasons} == {"75%", "62%"}
  widths = sorted(
    int(mask.any(axis=0).sum())
    for mask in pictures_of(tmp_path / "made", "fg_mask").values()
  )
  assert widths == [4, 5, 5, 8]


def test_boxes_take_the_place_of_masks(tmp_path):
  """Red squares on blue: GrabCut finds them inside their boxes."""
  rng = np.random.default_rng(0)
  boxes = ["file_name,xmin,ymin,xmax,ymax"]
  for number in range(6):
    image = np.full((32, 32, 3), (20, 20, 200))
    image[8:20, 10:22] = (220, 20, 20)
    image = (image + rng.integers(0, 20, image.shape)).astype(np.uint8)
    folder = tmp_path / "photos" / "ab"[number % 2]
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(folder / f"p{number}.png")
    boxes += [f"p{number}.png,6,4,26,24"] * (number != 4)
  boxes += ["p5.png,0,0,3,3"]
  table = tmp_path / "boxes.csv"
  table.write_text("\n".join(boxes))
  made = data.make_backgrounds(
    data.Source(kind="folder", name=str(tmp_path / "photos")),
    tmp_path / "made",
    splits={"train": "train"},
    rules=data.ForegroundRules(size=32, boxes=data.read_boxes(table)),
  )
  reasons = made.left_out["train"].values()
  assert sorted(reasons) == ["0 boxes; expected one", "2 boxes; expected one"]
  mask = np.zeros((32, 32), np.uint8)
  mask[8:20, 10:22] = 1
  for found in pictures_of(made.folder, "fg_mask", "train").values():
    np.testing.assert_array_equal(found, mask)
  # The black box is the one that was given, not that of the foreground.
  for found in pictures_of(made.folder, "only_bg_b", "train").values():
    black = (found == 0).all(axis=-1)
    assert black[4:24, 6:26].all() and black.sum() == 400


def test_stated_boxes_go_with_masks(tmp_path):
  """The mask is the foreground, and the larger stated box is made black."""
  rng = np.random.default_rng(0)
  for number in range(2):
    folder = tmp_path / "photos" / "a"
    folder.mkdir(parents=True, exist_ok=True)
    image = rng.integers(1, 256, (16, 16, 3), np.uint8)
    Image.fromarray(image).save(folder / f"{number}.png")
    mask = np.zeros((16, 16), np.uint8)
    mask[4:7, 5:9] = 255
    Image.fromarray(mask).save(folder / f"{number}.mask.png")
  boxes = {"0": [(3, 4, 10, 12)], "1": [(3, 4, 10, 17)]}
  made = data.make_backgrounds(
    data.Source(kind="folder", name=str(tmp_path / "photos")),
    tmp_path / "made",
    splits={"train": "train"},
    rules=data.ForegroundRules(size=16, boxes=boxes),
  )
  (reason,) = made.left_out["train"].values()
  assert "(3, 4, 10, 17) is not inside the image" in reason
  (found,) = pictures_of(made.folder, "fg_mask", "train").values()
  np.testing.assert_array_equal(found, mask == 255)
  (found,) = pictures_of(made.folder, "only_bg_b", "train").values()
  black = np.zeros((16, 16), bool)
  black[3:10, 4:12] = True
  np.testing.assert_array_equal((found == 0).all(axis=-1), black)


def test_images_of_two_classes_have_one_name(tmp_path):
  """The boxes are those of the class folders, as in the table."""
  rng = np.random.default_rng(0)
  table = ["file_name,xmin,ymin,xmax,ymax"]
  sizes = {"a": 4, "b": 7}
  for name, size in sizes.items():
    folder = tmp_path / "photos" / name
    folder.mkdir(parents=True)
    image = rng.integers(1, 256, (16, 16, 3), np.uint8)
    Image.fromarray(image).save(folder / "1.png")
    mask = np.zeros((16, 16), np.uint8)
    mask[2:5, 2:5] = 255
    Image.fromarray(mask).save(folder / "1.mask.png")
    table.append(f"{name}/1.png,1,1,{1 + size},{1 + size}")
  (tmp_path / "boxes.csv").write_text("\n".join(table))
  made = data.make_backgrounds(
    data.Source(kind="folder", name=str(tmp_path / "photos")),
    tmp_path / "made",
    splits={"train": "train"},
    rules=data.ForegroundRules(
      size=16, boxes=data.read_boxes(tmp_path / "boxes.csv")
    ),
  )
  found = pictures_of(made.folder, "only_bg_b", "train")
  areas = {k: (each == 0).all(axis=-1).sum() for k, each in found.items()}
  assert areas == {"00_a/1": 16, "01_b/1": 49}


def test_other_numbers_of_channels_are_refused(tmp_path):
  path = tmp_path / "five.npz"
  masks = np.zeros((2, 8, 8), np.uint8)
  masks[:, 2:4, 2:4] = 255
  images = np.zeros((2, 8, 8, 5), np.uint8)
  np.savez(path, images=images, labels=[0, 0], segmentation_masks=masks)
  with pytest.raises(ValueError, match="5 channels; expected 1 or 3"):
    make(path, tmp_path / "made")


def solid(path, colour):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(np.full((40, 30, 3), colour, np.uint8)).save(path)


@pytest.mark.parametrize("by_folder", [False, True])
def test_pictures_become_backgrounds_of_their_class(
  by_folder, cut_outs, tmp_path
):
  path, images, _, _ = cut_outs
  folder = tmp_path / "pictures"
  colours = {"cat": 10, "ant": 20, "bee": 30}
  for name, colour in colours.items():
    where = folder / name if by_folder else folder
    solid(where / f"{colour}.png", colour)
  pictures = data.assign_pictures(folder, tuple(colours))
  made = make(path, tmp_path / "made", pictures=pictures)
  foregrounds = pictures_of(made.folder, "fg_mask")
  for name, image in pictures_of(made.folder, "original").items():
    mask = foregrounds[name] != 0
    assert (image[~mask] == colours[name[3:6]]).all()
    assert any((image[mask] == each[mask]).all() for each in images)
  behind = backgrounds_of(made.folder)
  for name, image in pictures_of(made.folder, "mixed_next").items():
    other = behind["mixed_next", name]
    assert (image[foregrounds[name] == 0] == colours[other[3:6]]).all()


def test_smaller_images_are_anywhere_in_their_scene(cut_outs, tmp_path):
  path, images, masks, _ = cut_outs
  solid(tmp_path / "pictures" / "a.png", 7)
  pictures = data.assign_pictures(tmp_path / "pictures", ("cat",), scale=0.5)
  pictures = scenes.Pictures(pictures.paths * 3, scale=pictures.scale)
  made = make(
    path,
    tmp_path / "made",
    rules=data.ForegroundRules(size=32),
    pictures=pictures,
  )
  found = pictures_of(made.folder, "fg_mask")
  corners = set()
  for name, image in pictures_of(made.folder, "original").items():
    mask = found[name] != 0
    assert (image[~mask] == 7).all()
    rows, columns = np.nonzero(mask)
    corners.add((rows.min(), columns.min()))
    assert any(
      (image[mask] == own[kept == 255]).all()
      for own, kept in zip(images, masks, strict=True)
    )
  # The box of Only-BG-B has moved with the foreground.
  for name, image in pictures_of(made.folder, "only_bg_b").items():
    box = np.nonzero((image == 0).all(axis=-1))
    np.testing.assert_array_equal(box, np.nonzero(found[name]))
  assert len(corners) > 6


def test_a_weaker_correlation_draws_other_classes(tmp_path):
  for colour in range(4):
    solid(tmp_path / f"{colour}.png", colour)
  pictures = data.assign_pictures(tmp_path, tuple("abcd"), correlation=0.6)
  rng = np.random.default_rng(0)
  drawn = [
    scenes.draw(pictures, 2, size=4, rng=rng)[0, 0, 0] for _ in range(1000)
  ]
  # 0.6 of the own class, and a quarter of the rest.
  shares = np.bincount(drawn, minlength=4) / 1000
  expected = np.array([0.1, 0.1, 0.7, 0.1])
  deviation = np.sqrt(expected * (1 - expected) / 1000)
  assert (abs(shares - expected) < 4 * deviation).all()


def test_a_background_is_a_square_at_a_random_position(tmp_path):
  """A picture whose pixels tell their position, so the crop can be read off."""
  columns, rows = np.meshgrid(np.arange(40), np.arange(20))
  picture = np.stack([rows, columns, rows * 0], axis=-1).astype(np.uint8)
  Image.fromarray(picture).save(tmp_path / "a.png")
  pictures = data.assign_pictures(tmp_path, ("a",))
  rng = np.random.default_rng(0)
  corners = set()
  for _ in range(2000):
    crop = scenes.draw(pictures, 0, size=10, rng=rng)
    top, left, _ = map(int, crop[0, 0])
    corners.add((top, left))
    np.testing.assert_array_equal(
      crop, picture[top : top + 10, left : left + 10]
    )
  assert {top for top, _ in corners} == set(range(11))
  assert {left for _, left in corners} == set(range(31))


def test_pictures_that_cannot_be_assigned(tmp_path):
  solid(tmp_path / "cat" / "1.png", 1)
  with pytest.raises(ValueError, match="none for ant"):
    data.assign_pictures(tmp_path, ("cat", "ant"))
  with pytest.raises(ValueError, match="1 pictures for 2 classes"):
    data.assign_pictures(tmp_path / "cat", ("cow", "ant"))
  with pytest.raises(ValueError, match=r"correlation is 1\.5"):
    data.assign_pictures(tmp_path, ("cat",), correlation=1.5)
  with pytest.raises(ValueError, match=r"scale is 0"):
    data.assign_pictures(tmp_path, ("cat",), scale=0)
  with pytest.raises(FileNotFoundError, match="no folder of pictures"):
    data.assign_pictures(tmp_path / "dog", ("cat",))
  (tmp_path / "cat" / "1.png").write_bytes(b"text")
  pictures = data.assign_pictures(tmp_path, ("cat",))
  with pytest.raises(ValueError, match=r"1\.png.*remove this file"):
    scenes.draw(pictures, 0, size=4, rng=np.random.default_rng(0))
