"""Measuring where the time goes: every stage, with and without each saving, beside rivals in the same run.

`running.bench` is the whole of a measurement; `tally` makes medians and ratios of its raw runs.
"""
