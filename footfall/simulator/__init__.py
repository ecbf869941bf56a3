"""A seeded bank: customers, devices, journeys and incidents, with everything that was drawn written down.

    truth = draw_truth(Plan(seed=7, end_ms=now))     # rates, retention, incidents
    bank = simulate(truth, events=100_000)           # what each customer did, with true times
    requests = plan_requests(bank)                   # how devices deliver it: late, twice, clocks wrong

Pure: no clock, no network; the same plan gives the same bank. `reference` counts over it, slowly and
independently of the product, what the product must answer.
"""

from footfall.simulator.bank import Bank, simulate
from footfall.simulator.delivery import Request, plan_requests
from footfall.simulator.event import Event
from footfall.simulator.truth import FUNNEL, Plan, Truth, draw_truth

__all__ = [
    "FUNNEL",
    "Bank",
    "Event",
    "Plan",
    "Request",
    "Truth",
    "draw_truth",
    "plan_requests",
    "simulate",
]
