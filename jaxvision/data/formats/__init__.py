"""Files of many examples and their indexes: TFRecord, tar and npz."""

__all__ = [
  "byte_ranges",
  "index_file",
  "npz",
  "packed_names",
  "refusal",
  "tar_groups",
  "tf_example",
  "tfrecords",
]
