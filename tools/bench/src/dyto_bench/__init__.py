"""Measurement of where the time goes: every stage, with and without each saving, beside rivals in the same run.

`running.bench` does a whole measurement; `tally` computes medians and ratios from its raw runs.
"""
