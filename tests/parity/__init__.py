"""The networks of public implementations beside ours, with equal weights.

A file per family. Each has CASES, what is compared, and COUNTS, what public
implementations count; both can be read without torch or keras, which are
imported where a case or a count is run.
"""
