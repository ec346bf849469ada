"""What a sale is going to be like, before it begins: how long people wait, and how full the backend is.

Everything is read off a simulated sale (`simulated_sale.py`), also what is needed to be done in time: that
is searched for by running the sale with other numbers. Pure: the same question has the same answer.
"""

from gateway.operating.plan.assumed import (
    RUSH,
    Assumed,
    check,
    mean_before_the_end,
    scenario_of,
)
from gateway.operating.plan.documents import forecast_document
from gateway.operating.plan.forecast import Forecast, Tell, foretell
from gateway.operating.plan.needed import PRECISION, Needed, check_by, needed_by

__all__ = [
    "PRECISION",
    "RUSH",
    "Assumed",
    "Forecast",
    "Needed",
    "Tell",
    "check",
    "check_by",
    "forecast_document",
    "foretell",
    "mean_before_the_end",
    "needed_by",
    "scenario_of",
]
