"""Examining anybody's strategy: does it keep its budget, its word, and its place in time, and does it do anything?

`certify.certify` is the whole of an examination; each check is a function in `checks`, and says what it found.
"""
