"""Which attack budget stands for all where a chart or picture has room for one."""

import tomllib

from training.report import Condition, Report


def shown_condition(report: Report) -> Condition | None:
    """Return the condition of the budget that the run was hardened at, else of the weakest.

    None where nothing was attacked.
    """
    attacked = [condition for condition in report.conditions if condition.epsilon_255]
    hardened = tomllib.loads(report.recipe).get("attack", {}).get("epsilon_255")
    same = [condition for condition in attacked if condition.epsilon_255 == hardened]
    return next(iter(same or attacked), None)
