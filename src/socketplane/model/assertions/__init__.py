"""Assertions about who may talk to whom: reading them, and holding them against a judge."""

from __future__ import annotations

from socketplane.model.assertions.check import Finding, Judge, Judgement, Outcome, Result, hold, telling_ports
from socketplane.model.assertions.document import parse_assertions
from socketplane.model.assertions.offline import judge_by, population_of
from socketplane.model.assertions.population import End, Place, Population
from socketplane.model.assertions.statement import Assertion

__all__ = [
    "Assertion",
    "End",
    "Finding",
    "Judge",
    "Judgement",
    "Outcome",
    "Place",
    "Population",
    "Result",
    "hold",
    "judge_by",
    "parse_assertions",
    "population_of",
    "telling_ports",
]
