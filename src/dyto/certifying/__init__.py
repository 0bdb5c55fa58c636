"""Examinations of strategies: budget, provenance, determinism, order in time, and whether they have any effect.

`certify.certify` runs a whole examination; each check is a function in `checks`, which reports its findings.
"""
