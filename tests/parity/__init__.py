"""The networks of public implementations beside ours, with equal weights.

A file per family. Each has CASES, the comparisons, and COUNTS, the counts of
public implementations. Both can be read without torch or keras, which are
imported when a case or a count is run.
"""
