"""Evaluation: question files, the runner, scoring, the judge, and the report.

`evaluate.evaluate` does a whole run, `prepare.prepare` writes question files, and `report.write_report` the report.
"""
