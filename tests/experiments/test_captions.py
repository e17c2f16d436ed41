"""The experiment and the benchmark of captions give what they state."""

import hashlib
import json

import experiment_scripts
import numpy as np
import pytest

CAPTIONS = ("A lion.", "a lion", "A cat.", "An old dog.", "A cat.", "Two dogs.")


@pytest.fixture(scope="module")
def script():
  return experiment_scripts.load("captions.py")


def test_no_caption_is_in_both_parts(script):
  captions = [f"{text} {i}" for text in CAPTIONS for i in range(10)]
  for seed in range(3):
    trained = script.divide(captions, seed)
    parts = [
      {each.lower().replace(".", "") for each in np.asarray(captions)[rows]}
      for rows in (trained, ~trained)
    ]
    assert not parts[0] & parts[1]
    assert 0.7 < trained.mean() < 0.9
  assert (script.divide(captions, 0) != script.divide(captions, 1)).any()


def test_the_baselines_take_the_nearest_and_the_most_frequent(script):
  """The test picture 3 is nearest to picture 2; "A cat." occurs twice."""
  trained = np.asarray([True, True, True, False, True, False])
  features = np.eye(6)[[0, 1, 2, 2, 4, 0]]
  found = script.baselines(CAPTIONS, trained, features)
  nearest, frequent = found["nearest picture"], found["most frequent"]
  # "A cat." and "A lion." against "An old dog." and "Two dogs."
  assert nearest["bleu1"] == frequent["bleu1"] == 0
  features = np.eye(6)[[0, 1, 3, 3, 4, 4]]
  captions = (*CAPTIONS[:2], "An old dog.", "An old dog.", "A cat.", "a cat")
  found = script.baselines(captions, trained, features)
  assert found["nearest picture"]["bleu1"] == 1
  assert found["most frequent"]["bleu1"] < 1


def test_results_of_other_weights_or_seeds_are_not_reused(script, tmp_path):
  weights = tmp_path / "lite0.pth"
  weights.write_bytes(b"some")
  found = [{"captioner": {"cider": 1.0}}]
  about = {
    "weights_sha256": hashlib.sha256(b"some").hexdigest(),
    "seeds": [0, 1],
  }
  content = json.dumps({**about, "found": found})
  (tmp_path / "stamps.json").write_text(content)
  assert script.run_stamps(str(weights), tmp_path, (0, 1)) == found
  with pytest.raises(ValueError, match="give another --workdir"):
    script.run_stamps(str(weights), tmp_path, (0, 1, 2))
  weights.write_bytes(b"other")
  with pytest.raises(ValueError, match="give another --workdir"):
    script.run_stamps(str(weights), tmp_path, (0, 1))


def test_a_scene_has_its_digits_at_the_places_of_its_caption(script):
  digits = np.stack(
    [np.full((14, 14), 10 * (i + 1), np.uint8) for i in range(3)]
  )
  labels = np.asarray([7, 3, 0])
  names = {"seven": 10, "three": 20, "zero": 30}
  rng, seen = np.random.default_rng(0), set()
  for _ in range(50):
    scene, text = script.draw_scene(rng, digits, labels)
    _, one, *relation, _, other = text.split()
    halves = scene[:14], scene[14:]
    if relation == ["left", "of"]:
      halves = scene[:, :14], scene[:, 14:]
    found = [set(np.unique(half)) - {0} for half in halves]
    assert found == [{names[one]}, {names[other]}]
    seen.add(" ".join(relation))
  assert seen == {"above", "left of"}


def test_the_verdict_is_two_standard_errors(script):
  assert script.judge([0.1, 0.12, 0.11, 0.09, 0.1]) == "better"
  assert script.judge([-0.1, -0.12, -0.11, -0.09, -0.1]) == "worse"
  assert script.judge([0.1, -0.1, 0.05, -0.06, 0.02]) == "not different"


@pytest.mark.slow
def test_both_ways_of_the_benchmark_give_the_same_captions():
  benchmark = experiment_scripts.load("benchmarks/captions.py")
  ways = benchmark.make_ways(
    1, images=3, length=5, width=8, mlp_dim=8, num_words=9, memory_width=6
  )
  cached, naive = (generate() for generate in ways.values())
  np.testing.assert_array_equal(cached, naive)
  assert cached.shape == (3, 5) and (cached[:, -1] == benchmark.END).all()


def test_the_figure_has_a_row_for_each_scene(tmp_path):
  figures = experiment_scripts.load("caption_figures.py")
  words = [("a", "nine", "(end)"), ("a", "(end)")]
  captions, pictures = [], []
  for number, each in enumerate(words):
    captions += [f"caption: {number}", *(f"{word}\n99.0%" for word in each)]
    pictures += [
      np.full((4, 4, 3), 10 * number + i) for i in range(1 + len(each))
    ]
  pages = [{"captions": []}, {"captions": captions}]
  (tmp_path / "pages.json").write_text(json.dumps({"pages": pages}))
  np.savez(tmp_path / "pages.npz", images_1=np.uint8(pictures))
  rows = figures.read(tmp_path)
  assert [caption for _, caption, _ in rows] == ["0", "1"]
  assert [text for _, text in rows[0][2]] == [
    "a\n99.0%",
    "nine\n99.0%",
    "(end)\n99.0%",
  ]
  assert [picture[0, 0, 0] for picture, _ in rows[1][2]] == [11, 12]
  figures.main([str(tmp_path), str(tmp_path / "figure.png")])
  assert (tmp_path / "figure.png").stat().st_size > 1000
