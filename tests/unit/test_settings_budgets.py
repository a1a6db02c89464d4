"""The budgets of new users, from variables to what a user gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from muxer_grpc.bootstrap_admin import default_budgets
from muxer_grpc.storage.users import DefaultBudgets
from tests.unit.given_settings import load, problems_of


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(**variables: str) -> DefaultBudgets:
    return default_budgets(load({f"MUXER_BUDGETS__{name}": value for name, value in variables.items()}).budgets)


def test_a_new_user_may_spend_ten_usd_a_day_and_a_hundred_a_month() -> None:
    assert loaded() == DefaultBudgets(10 * 10**9, 100 * 10**9, "UTC")


def test_other_amounts_and_days_are_set() -> None:
    given = {"DAILY_NANO_USD": "0", "MONTHLY_NANO_USD": "7", "TIME_ZONE": "Europe/Berlin"}
    assert loaded(**given) == DefaultBudgets(0, 7, "Europe/Berlin")


def test_new_users_may_have_none() -> None:
    assert loaded(FOR_NEW_USERS="false") == DefaultBudgets()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("TIME_ZONE", "Mars/Olympus", "must be a time zone of the IANA database"),
        ("DAILY_NANO_USD", "-1", "greater than or equal to 0"),
        ("MONTHLY_NANO_USD", "9000000000000001", "less than or equal to 9000000000000000"),
    ],
)
def test_what_is_no_budget_is_refused(name: str, value: str, told: str) -> None:
    [problem] = problems_of({f"MUXER_BUDGETS__{name}": value})
    assert problem.startswith(f"MUXER_BUDGETS__{name}")
    assert told in problem
