"""Evaluation: question files, the runner, scoring, the judge, and the report.

`evaluate.evaluate` is the whole of a run; `prepare.prepare` writes question files; `report.write_report` the report.
"""
