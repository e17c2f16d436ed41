"""Files that hold many examples: TFRecord, tar, npz, and their indexes."""

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
