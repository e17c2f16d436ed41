"""A parser for serialized tf.train.Example messages.

An Example is a protocol buffer (protobuf.dev/programming-guides/encoding) that
maps names to lists of bytes, integers or floats
(tensorflow/core/example/example.proto and feature.proto). tensorflow-datasets
has its classes, which do not need TensorFlow.
"""

from collections.abc import Collection


def parse(
  record: bytes, names: Collection[str]
) -> dict[str, list[bytes] | list[int]]:
  """Parses some features of an Example.

  Args:
    record: a serialized Example.
    names: of the requested features, of bytes or integers.

  Returns:
    The values by name. Features that are missing or are floats are not
    included.

  Raises:
    ValueError: the record is not an Example.
  """
  # Imported here, because only TFDS data sets need them.
  from tensorflow_datasets.proto import tf_example_generated_pb2 as messages

  try:
    features = messages.Example.FromString(record).features.feature
  except Exception as error:  # the class belongs to a dependency of theirs
    raise ValueError(
      f"a record of {len(record)} bytes is not a tf.train.Example: {error}"
    ) from None
  found = {}
  for name in names:
    if name in features:
      kind = features[name].WhichOneof("kind")
      if kind in ("bytes_list", "int64_list"):
        found[name] = list(getattr(features[name], kind).value)
  return found
