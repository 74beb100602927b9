"""The instructions that an event costs, in every component that it passes, stay within bench/instructions.txt."""

import sys

import pytest
from support import ROOT

sys.path.append(str(ROOT / "bench"))
import instructions  # noqa: E402


@pytest.fixture(scope="module")
def counts():
    return instructions.count()


def test_no_component_costs_more_than_its_budget(counts):
    budgets = instructions.budgets()
    assert budgets.keys() == counts.keys()
    assert not instructions.over(counts, budgets), f"{counts} against {budgets}: see bench/instructions.py"


def test_a_second_run_counts_the_same(counts):
    again = instructions.count()
    assert {name: abs(again[name] - number) <= number / 1000 for name, number in counts.items()} == dict.fromkeys(counts, True)


def test_a_twentieth_more_is_let_through_and_what_is_above_it_found(counts):
    # As if the budget were of a time when the numbers of an event cost a tenth less.
    json = counts["json_event"]
    assert instructions.over(counts, counts | {"json_event": int(json / 1.04)}) == []
    assert instructions.over(counts, counts | {"json_event": int(json / 1.1)}) == ["json_event"]


def test_a_component_without_a_budget_is_over_it(counts):
    assert instructions.over(counts | {"new": 1}, counts) == ["new"]
