"""Tests of captions as arrays."""

import functools
import logging

import numpy as np
import pytest

from jaxvision.tasks.captioning import caption_arrays, measures, vocabularies

WORDS = vocabularies.Words(("a", "red", "kite"))
END, UNKNOWN = 1, 2


def test_captions_are_padded_and_cut_with_their_end():
  found = caption_arrays.encode(
    WORDS, "A red kite.\n\n a big red red kite\n kite", captions=4, length=4
  )
  np.testing.assert_array_equal(
    found,
    [
      [3, 4, 5, END],
      [3, UNKNOWN, 4, END],
      [5, END, 0, 0],
      [0, 0, 0, 0],
    ],
  )
  assert found.dtype == np.int32
  one = caption_arrays.encode(WORDS, "red\nkite", captions=1, length=4)
  assert one.tolist() == [[4, END, 0, 0]]


@pytest.mark.parametrize("text", ["", " \n ", "...\n!"])
def test_a_caption_without_a_word_is_refused(text):
  with pytest.raises(ValueError, match="has no word; write a caption"):
    caption_arrays.encode(WORDS, text, captions=1, length=4)


def test_references_are_the_whole_text_of_all_captions():
  text = "A très long caption, not cut.\n second"
  content = caption_arrays.to_bytes(text, size=64)
  assert content.shape == (64,) and content.dtype == np.uint8
  assert caption_arrays.from_bytes(content) == [
    "A très long caption, not cut.",
    "second",
  ]
  assert caption_arrays.from_bytes(np.zeros(64, np.uint8)) == []
  with pytest.raises(ValueError, match=r"have 37 bytes.*text_bytes is 36"):
    caption_arrays.to_bytes(text, size=36)


def test_labels_that_cannot_be_told_apart_are_listed():
  found = caption_arrays.encode_labels(WORDS, ["a red kite", "Kite!"], length=4)
  assert found.tolist() == [[3, 4, 5, END], [5, END, 0, 0]]
  labels = [
    "zebra",
    "a",
    "giraffe",
    "red red red red",
    "a kite",
    "A kite.",
    "?",
  ]
  with pytest.raises(ValueError) as raised:
    caption_arrays.encode_labels(WORDS, labels, length=4)
  message = str(raised.value)
  assert "without a word: '?'" in message
  assert "is not in the vocabulary: 'zebra', 'giraffe'" in message
  assert "task.options.length=4 with the end: 'red red red red'" in message
  assert "with the words of another one: 'a kite', 'A kite.'" in message
  assert "'a'" not in message
  # Texts of `length` words differ in a word that would be cut.
  with pytest.raises(ValueError, match="longer than"):
    caption_arrays.encode_labels(
      WORDS, ["a red kite a", "a red kite red"], length=4
    )


def test_what_is_cut_is_counted_and_logged(caplog):
  caplog.set_level(logging.INFO)
  read = [["a red kite", "a kite"], ["red", "a a a a", "big kite"]]
  caption_arrays.report(WORDS, read, captions=2, length=4)
  assert "5 captions of 2 images; the vocabulary has 6 entries" in caplog.text
  assert "1 of 5 training captions are longer" in caplog.text
  assert "up to 3 captions, and the training uses the first 2" in caplog.text


def test_an_unknown_word_of_a_reference_matches_nothing():
  generated = np.asarray([[3, UNKNOWN, END], [4, 5, END], [5, END, 0]])
  texts = ["a zebra", "a red kite", "a kite"]
  sums = {
    "generated": generated,
    "references": np.stack(
      [caption_arrays.to_bytes(t, size=32) for t in texts]
    ),
    "mask": np.asarray([1, 1, 0], np.uint8),
    "loss": np.asarray(6.0),
    "nll": np.asarray(4.0),
    "count": np.asarray(4.0),
  }
  found = measures.finish(WORDS, sums)
  # One of two words, two of two; the third example is masked.
  assert found["bleu1"] == pytest.approx(0.75 * np.exp(1 - 5 / 4))
  assert found["exact_match"] == 0
  assert found["loss"] == 1.5 and found["perplexity"] == pytest.approx(np.e)


def test_merged_sums_are_those_of_all_rows_also_with_an_axis_of_runs():
  """Rows are not copied for each batch."""
  rng = np.random.default_rng(0)

  def sums(count, *runs):
    return {
      "generated": rng.integers(0, 6, (*runs, count, 4)),
      "references": rng.integers(0, 9, (*runs, count, 8)).astype(np.uint8),
      "mask": np.ones((*runs, count), np.uint8),
      "loss": rng.random(runs),
    }

  batches = [sums(count, 2) for count in (3, 5, 1)]
  total = functools.reduce(measures.merge, batches)
  for part, batch in zip(total["references"], batches, strict=True):
    assert np.shares_memory(part, batch["references"])
  merged = measures.joined(total)
  for run in range(2):
    alone = [{k: v[run] for k, v in each.items()} for each in batches]
    total = measures.joined(functools.reduce(measures.merge, alone))
    for name, each in total.items():
      np.testing.assert_array_equal(merged[name][run], each)
    rows = np.concatenate([each["generated"][run] for each in batches])
    np.testing.assert_array_equal(total["generated"], rows)
  assert total["mask"].shape == (9,)
