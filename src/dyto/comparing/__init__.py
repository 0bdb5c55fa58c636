"""Comparing strategies: the same questions, the same frames, the same number of tokens.

`compare.compare` is the whole of a comparison; `statistics` holds its tests, `guard` what must not go unsaid.
"""
