import numpy as np
import pytest
import written_sources
from tensorflow_datasets.proto import tf_example_generated_pb2 as messages

from jaxvision.data.formats import tf_example

INTEGERS = [0, 1, 127, 128, 300, 2**31, 2**63 - 1, -1, -(2**63)]


def test_features_come_out_as_they_went_in():
  features = {
    "image": [b"\x89PNG" + bytes(200)],
    "label": [3],
    "many": INTEGERS,
    "texts": [b"", b"a", b"bc" * 5000],
    "box": [0.5, -1.0],
    "größe": [7],
  }
  record = written_sources.tf_example(features)
  del features["box"]
  assert tf_example.parse(record, {*features, "box", "none"}) == features
  assert tf_example.parse(record, ("label",)) == {"label": [3]}
  assert tf_example.parse(b"", ("label",)) == {}


def test_integers_that_are_not_packed_are_read():
  # Fields of the number 1, kind varint, in an Int64List.
  values = b"\x08\x05\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
  feature = bytes([0x1A, len(values)]) + values
  entry = b"\x0a\x01x" + bytes([0x12, len(feature)]) + feature
  features = bytes([0x0A, len(entry)]) + entry
  record = bytes([0x0A, len(features)]) + features
  parsed = messages.Example.FromString(record)
  assert parsed.features.feature["x"].int64_list.value[:] == [5, -1]
  assert tf_example.parse(record, ("x",)) == {"x": [5, -1]}


def test_fields_of_later_versions_are_stepped_over():
  record = written_sources.tf_example({"label": [3]})
  unknown = b"\x78\x96\x01" + b"\x7d1234" + b"\x7912345678" + b"\x7a\x02ab"
  assert tf_example.parse(unknown + record + unknown, ("label",)) == {
    "label": [3]
  }


def test_an_empty_list_is_empty():
  example = messages.Example()
  example.features.feature["label"].int64_list.value.extend([])
  example.features.feature["none"].SetInParent()
  found = tf_example.parse(example.SerializeToString(), ("label", "none"))
  assert found == {"label": []}


@pytest.mark.parametrize("seed", range(3))
def test_random_examples_are_read_as_protobuf_reads_them(seed):
  rng = np.random.default_rng(seed)
  features = {
    f"feature{number}": [
      rng.bytes(rng.integers(0, 400)) for _ in range(rng.integers(1, 5))
    ]
    if rng.random() < 0.5
    else rng.integers(-(2**63), 2**63 - 1, rng.integers(1, 20)).tolist()
    for number in range(20)
  }
  record = written_sources.tf_example(features)
  assert tf_example.parse(record, features) == features


def test_damaged_records_are_errors_or_other_records():
  record = written_sources.tf_example({"image": [b"x" * 300], "label": [3]})
  for size in range(1, len(record)):
    with pytest.raises(
      ValueError, match=f"{size} bytes is not a tf.train.Exam"
    ):
      tf_example.parse(record[:size], ("image", "label"))
  rng = np.random.default_rng(0)
  for _ in range(2000):
    damaged = bytearray(record)
    for place in rng.integers(0, len(record), 3):
      damaged[place] = rng.integers(0, 256)
    try:
      tf_example.parse(bytes(damaged), ("image", "label"))
    except ValueError as error:
      assert "is not a tf.train.Example" in str(error)


def test_numbers_without_an_end_are_refused_at_once():
  record = b"\xff" * 10_000_000
  with pytest.raises(ValueError, match="10000000 bytes is not a tf"):
    tf_example.parse(record, ("image",))
