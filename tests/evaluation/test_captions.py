"""Captions in files are scored in all their forms; faults list the images."""

import json

import captioned_files
import pytest
from text_corpus import HYPOTHESES, REFERENCES

from jaxvision.evaluation import captions

EXPECTED = {
  "bleu1": 0.9545454545,
  "bleu4": 0.3281370194,
  "rouge_l": 0.8113315559,
  "cider": 2.4612877514,
  "sacrebleu": 0.3281370194,
  "rouge1": 0.78733,
  "rouge2": 0.44185,
  "rougeL": 0.78733,
}


def _json(path, content):
  path.write_text(json.dumps(content))
  return path


def _results(folder, keys=(40, 41, 42), captions=HYPOTHESES):
  content = [
    {"image_id": key, "caption": caption}
    for key, caption in zip(keys, captions, strict=True)
  ]
  return _json(folder / "results.json", content[::-1])


def _annotations(folder, references=REFERENCES):
  content = {
    "images": [
      {"id": 40 + i, "file_name": f"{i}.jpg"} for i in range(len(references))
    ],
    "annotations": [
      {"image_id": 40 + i, "caption": caption}
      for i, each in enumerate(references)
      for caption in each
    ],
  }
  return _json(folder / "captions_val2014.json", content)


def _karpathy(folder):
  content = {
    "images": [
      {
        "filename": f"{i}.jpg",
        "filepath": "val2014",
        "cocoid": 40 + i,
        "split": split,
        "sentences": [{"raw": caption} for caption in REFERENCES[i % 3]],
      }
      for i, split in enumerate(("test", "test", "test", "train", "val"))
    ]
  }
  return _json(folder / "dataset_coco.json", content)


def _token(folder):
  lines = [
    f"{i}.jpg#{k}\t{caption}"
    for i, each in enumerate(REFERENCES)
    for k, caption in enumerate(each)
  ]
  path = folder / "Flickr8k.token.txt"
  path.write_text("\n".join(lines))
  return path


def _lines(folder, name, texts):
  path = folder / name
  path.write_text("".join(f"{text}\n" for text in texts))
  return path


def _line_files(folder):
  columns = zip(*REFERENCES, strict=True)
  return [_lines(folder, f"{k}.txt", each) for k, each in enumerate(columns)]


def _by_name(folder):
  names = {f"{i}.jpg": text for i, text in enumerate(HYPOTHESES)}
  return _json(folder / "names.json", names)


def _predicted(folder):
  content = [
    {"image": f"photos/{i}.jpg", "caption": text, "seconds": 0.1}
    for i, text in enumerate(HYPOTHESES)
  ]
  return _json(folder / "predicted.json", content)


def _mapping(folder):
  lists = {str(40 + i): each for i, each in enumerate(REFERENCES)}
  return _json(folder / "references.json", lists)


@pytest.mark.parametrize(
  ("hypotheses", "references"),
  [
    (_results, _annotations),
    (_results, _karpathy),
    (_results, _mapping),
    (_by_name, _token),
    (_by_name, _annotations),
    (_predicted, _karpathy),
  ],
)
def test_all_forms_have_the_same_scores(hypotheses, references, tmp_path):
  found = captions.score(hypotheses(tmp_path), [references(tmp_path)])
  assert (found.images, found.references, found.empty) == (3, (3, 3), ())
  for name, expected in EXPECTED.items():
    assert found.values[name] == pytest.approx(expected, abs=1e-5), name


def test_several_files_of_lines(tmp_path):
  hypotheses = _lines(tmp_path, "hypotheses.txt", HYPOTHESES)
  found = captions.score(hypotheses, _line_files(tmp_path))
  assert found.references == (3, 3)
  for name, expected in EXPECTED.items():
    assert found.values[name] == pytest.approx(expected, abs=1e-5), name


def test_a_split_of_the_references(tmp_path):
  references = _karpathy(tmp_path)
  one = _results(tmp_path, (43,), HYPOTHESES[:1])
  assert captions.score(one, [references], split="train").images == 1
  with pytest.raises(ValueError, match="unknown split 'tran'; did you mean"):
    captions.score(one, [references], split="tran")
  with pytest.raises(ValueError, match="has no splits, but --split is 'test'"):
    captions.score(one, [_annotations(tmp_path)], split="test")


def test_the_order_of_the_images_does_not_matter(tmp_path):
  references = _annotations(tmp_path)
  found = [
    captions.score(_results(tmp_path, keys, texts), [references]).values
    for keys, texts in (
      ((40, 41, 42), HYPOTHESES),
      ((42, 40, 41), [HYPOTHESES[i] for i in (2, 0, 1)]),
    )
  ]
  assert found[0] == found[1]


def test_empty_hypotheses_score_0_and_are_listed(tmp_path):
  hypotheses = _results(tmp_path, captions=["", *HYPOTHESES[1:]])
  found = captions.score(hypotheses, [_annotations(tmp_path)])
  assert found.empty == ("40",)
  assert 0 < found.values["rouge_l"] < EXPECTED["rouge_l"]


def test_images_on_one_side_only_are_listed(tmp_path):
  hypotheses = _results(tmp_path, (40, 41, 77))
  with pytest.raises(ValueError) as error:
    captions.score(hypotheses, [_annotations(tmp_path)])
  assert "no caption for 1 of 3 images of" in str(error.value)
  assert "captions_val2014.json: 42; 1 of the 3 images of" in str(error.value)
  assert "have no reference in" in str(error.value)
  assert ": 77; both must have the same images" in str(error.value)


def test_ids_in_messages_are_printable(tmp_path):
  hypotheses = _json(tmp_path / "h.json", {"a\x1b[2J": "A cat."})
  with pytest.raises(ValueError) as error:
    captions.score(hypotheses, [_annotations(tmp_path)])
  assert "\x1b" not in str(error.value) and r"a\x1b[2J" in str(error.value)


def test_an_image_with_two_hypotheses_is_an_error(tmp_path):
  hypotheses = _results(tmp_path, (40, 41, 40))
  with pytest.raises(ValueError, match="1 of 2 images have not one caption"):
    captions.score(hypotheses, [_annotations(tmp_path)])


def test_empty_and_missing_references_are_errors(tmp_path):
  hypotheses = _results(tmp_path)
  for references, expected in (
    ([["a"], ["b", " "], ["c"]], "1 of 3 images have an empty caption: 41"),
    ([["a"], [], []], "2 of 3 images have no caption: 41, 42"),
  ):
    with pytest.raises(ValueError, match=expected):
      captions.score(hypotheses, [_annotations(tmp_path, references)])


def test_files_of_other_images_are_an_error(tmp_path):
  hypotheses = _lines(tmp_path, "hypotheses.txt", HYPOTHESES)
  first, second, _ = _line_files(tmp_path)
  second.write_text("only one\n")
  with pytest.raises(ValueError, match="2 are in one of them only: 2, 3"):
    captions.score(hypotheses, [first, second])


def test_the_lists_of_flickr8k_are_its_splits(tmp_path):
  captioned_files.flickr8k(tmp_path)
  token = tmp_path / "Flickr8k_text" / "Flickr8k.token.txt"
  hypotheses = _json(tmp_path / "h.json", {"3_ab.jpg": "A large paintbrush."})
  found = captions.score(hypotheses, [token])
  assert found.images == 1 and found.values["bleu1"] == 1
