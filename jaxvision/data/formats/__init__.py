"""Files of many examples and of their labels, captions and boxes."""

__all__ = [
  "box_files",
  "byte_ranges",
  "caption_files",
  "index_file",
  "npz",
  "packed_names",
  "refusal",
  "tar_groups",
  "tf_example",
  "tfrecords",
]
