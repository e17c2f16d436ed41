"""The map from ImageNet to ImageNet-9, and the answers of networks."""

import numpy as np
import pytest
from background_sets import IN9

from jaxvision.evaluation import imagenet9
from jaxvision.weights import class_names

COUNTS = (116, 52, 42, 36, 35, 27, 26, 20, 16)


def test_the_map_has_the_counts_of_the_paper():
  found = imagenet9.class_map()
  assert found.shape == (1000,)
  labels, counts = np.unique(found, return_counts=True)
  assert labels.tolist() == [-1, 0, 1, 2, 3, 4, 5, 6, 7, 8]
  assert tuple(counts[1:]) == COUNTS and sum(COUNTS) == 370
  assert counts[0] == 630


def test_the_map_lacks_two_dogs():
  found = imagenet9.class_map()
  assert (np.flatnonzero(found[151:269] != 0) + 151).tolist() == [171, 172]
  assert (found[171:173] == -1).all()


@pytest.mark.parametrize(
  ("name", "label"),
  [
    *(("great white shark", 8), ("goldfinch", 1), ("loggerhead", 3)),
    *(("Chihuahua", 0), ("timber wolf", 4), ("monarch", 5), ("gorilla", 7)),
    *(("jeep", 2), ("grand piano", 6), ("volcano", -1), ("tabby", -1)),
    *(("Italian greyhound", -1), ("whippet", -1)),
  ],
)
def test_names_of_imagenet_are_in_their_class(name, label):
  names = class_names.readable(class_names.imagenet_1k())
  assert imagenet9.class_map()[names.index(name)] == label


def test_a_network_answers_by_name():
  names = ("00_cat", "01_ant")
  found = imagenet9.answer_map(("ant", "bee", "cat"), names)
  assert found.tolist() == [1, -1, 0]
  found = imagenet9.answer_map(IN9, IN9)
  assert found.tolist() == list(range(9))
  found = imagenet9.answer_map(("0", "1"), names)
  assert found.tolist() == [0, 1]


@pytest.mark.parametrize(
  ("network", "data", "expected"),
  [
    (("type1_a", "type2_a"), ("type1_a", "type2_a"), [0, 1]),
    (("type2_a", "type1_a"), ("00_type1_a", "01_type2_a"), [1, 0]),
    (("2_door", "4_door"), ("2_door", "4_door"), [0, 1]),
    (("4_door", "2_door"), ("00_2_door", "01_4_door"), [1, 0]),
    (("00_2_door", "01_4_door"), ("00_2_door", "01_4_door"), [0, 1]),
    (("1_cat", "2_ant"), ("00_ant", "01_cat"), [1, 0]),
  ],
)
def test_a_number_inside_or_as_a_part_of_a_name_counts(network, data, expected):
  assert imagenet9.answer_map(network, data).tolist() == expected


def test_classes_that_differ_in_their_numbers_alone_are_refused():
  with pytest.raises(ValueError, match="2_door, 4_door, and the network 3_do"):
    imagenet9.answer_map(("3_door", "5_door"), ("2_door", "4_door"))


def test_imagenet_answers_by_the_map_only_for_the_nine_classes():
  imagenet = class_names.imagenet_1k()
  found = imagenet9.answer_map(imagenet, IN9)
  np.testing.assert_array_equal(found, imagenet9.class_map())
  with pytest.raises(ValueError, match=r"00_cat, 01_ant.*ImageNet's 1000"):
    imagenet9.answer_map(imagenet, ("00_cat", "01_ant"))
  with pytest.raises(ValueError, match=r"\(9\).*network 0, 1"):
    imagenet9.answer_map(("0", "1"), IN9)
