import os

import pytest

from jaxvision.data.formats import packed_names

TEXTS = ["", "a.png", "猫/é.jpg", os.fsdecode(b"\xff\xfe"), "a.png"]


def test_names_come_back():
  packed = packed_names.pack([os.fsencode(text) for text in TEXTS])
  assert len(packed) == 5
  assert [packed[index] for index in range(5)] == TEXTS


def test_parts_come_one_after_the_other():
  parts = [
    packed_names.pack([os.fsencode(text) for text in each])
    for each in (TEXTS[:2], [], TEXTS[2:])
  ]
  together = packed_names.concatenate(parts)
  assert [together[index] for index in range(len(together))] == TEXTS


def test_they_take_little_more_than_their_characters():
  packed = packed_names.pack([b"n01440764_%05d.JPEG" % i for i in range(1000)])
  assert packed.characters.nbytes + packed.ends.nbytes == 1000 * (20 + 8)


def test_a_name_that_is_not_there():
  with pytest.raises(IndexError):
    packed_names.pack([b"a"])[1]
