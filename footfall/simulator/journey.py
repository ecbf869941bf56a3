"""What one customer does, from the first visit to the last session: main path, sessions, loans, transfers.

Milestones of the main path are more than a minute apart, and none lies within an hour of the funnel's window:
by how little a wrong clock's correction is off (the network's delay) then decides nothing, and counts can be
compared exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from footfall.simulator.customer import MINUTE_MS, Customer, Device, draw_hex, draw_profile
from footfall.simulator.event import Event
from footfall.simulator.truth import DAY_MS, FUNNEL, HOUR_MS, WINDOW_DAYS, Truth

_LONGEST_PATH_MS = 9 * DAY_MS
_MEAN_DELAYS_MS = (8 * MINUTE_MS, 2 * HOUR_MS, 6 * HOUR_MS, 20 * HOUR_MS)
_LATE_PURCHASE_SHARE = 0.15
_QUIET_MS = 5 * MINUTE_MS  # nothing happens in the last minutes before the simulation's end
_SCREENS = ("home", "fund_list", "account", "cards", "loans", "messages", "settings", "branches")
_FUNDS = ("F100", "F101", "F200", "F305", "F410")
_ANCIENT_SHARE = 0.006
_ANCIENT_MS = 800 * DAY_MS
_STACKS = (
    """java.lang.NullPointerException: card == null
\tat com.bank.app.card.BindCardActivity.onSubmit(BindCardActivity.java:{line})
\tat android.view.View.performClick(View.java:7506)""",
    """java.lang.IllegalStateException: fragment not attached
\tat com.bank.app.fund.FundListFragment.refresh(FundListFragment.kt:{line})
\tat android.os.Handler.handleCallback(Handler.java:938)""",
)


@dataclass(slots=True)
class Journey:
    """A customer's events as they come about. `milestones` has what was really reached, and when."""

    truth: Truth
    customer: Customer
    draws: np.random.Generator
    events: list[Event] = field(default_factory=list)
    milestones: dict[str, int] = field(default_factory=dict)
    signed_up: set[str] = field(default_factory=set)

    def run(self) -> list[Event]:
        """All events of the customer, in the order of their true times."""
        self._visit_first()
        self._return()
        self._meet_the_ancient()
        self.events.sort(key=lambda event: event.time_ms)
        return self.events

    # --- the first visit and the main path ----------------------------------------------------------------

    def _visit_first(self) -> None:
        device = self.customer.devices[0]
        now = self.customer.arrival_ms
        end = now + int(self.draws.integers(2, 12)) * MINUTE_MS
        source = (
            {"$utm_campaign": self.truth.campaign_name, "$utm_source": self.customer.channel}
            if self.customer.from_campaign
            else {}
        )
        self._session(device, now, end, first=True, extra=source)
        if self.draws.random() < 0.2:
            self._track(device, "view_fund", now + 20_000, {"fund_id": self._fund()})
        if self.customer.registers:
            self._register(device, end + MINUTE_MS)

    def _register(self, device: Device, now: int) -> None:
        self._reach(device, "register", now, {})
        self._sign_up(device, now + 2_000)
        self._profile("profile_set", draw_profile(self.customer, self.draws), device, now + 3_000)
        self._profile("profile_set_once", {"first_channel": self.customer.channel}, device, now + 3_000)
        times = self._draw_path_times(now)
        for step in range(1, len(FUNNEL)):
            rate = self.truth.step_rate(step, self.customer.channel, self.customer.version, now)
            if self.draws.random() >= rate:
                self._purchase_late(device, now, step)
                return
            self._reach(device, FUNNEL[step], times[step - 1], self._step_properties(FUNNEL[step]))

    def _draw_path_times(self, registered_ms: int) -> list[int]:
        """When each step would come: exponential delays, squeezed into what is left of the history."""
        room = min(_LONGEST_PATH_MS, self.truth.plan.end_ms - _QUIET_MS - registered_ms)
        least = MINUTE_MS + 1_000
        room -= least * len(_MEAN_DELAYS_MS)
        delays = self.draws.exponential(_MEAN_DELAYS_MS)
        squeeze = min(1.0, room / float(delays.sum()))
        steps = np.cumsum(delays * squeeze + least)
        return [registered_ms + int(step) for step in steps]

    def _purchase_late(self, device: Device, registered_ms: int, step: int) -> None:
        """Some who viewed without buying buy after the window has closed: no conversion."""
        due = registered_ms + WINDOW_DAYS * DAY_MS + HOUR_MS + int(self.draws.integers(3 * DAY_MS))
        buys = FUNNEL[step] == "purchase_fund" and self.draws.random() < _LATE_PURCHASE_SHARE
        if buys and due < self.truth.plan.end_ms - _QUIET_MS:
            self._track(device, "purchase_fund", due, self._step_properties("purchase_fund"))

    def _reach(self, device: Device, event: str, now: int, properties: dict[str, Any]) -> None:
        self.milestones[event] = now
        self._track(device, event, now, properties)

    def _step_properties(self, event: str) -> dict[str, Any]:
        if event == "bind_card":
            return {"card_type": "debit" if self.draws.random() < 0.8 else "credit"}
        if event == "view_fund":
            return {"fund_id": self._fund()}
        if event == "purchase_fund":
            return {"fund_id": self._fund(), "amount": self._amount(1_000, 1.1), "currency": "CNY"}
        return {"method": "face" if self.draws.random() < 0.7 else "id_card"}

    # --- coming back --------------------------------------------------------------------------------------

    def _return(self) -> None:
        for day, chance in enumerate(self.truth.retention, start=1):
            if self.draws.random() >= chance:
                continue
            now = self.customer.arrival_ms + day * DAY_MS + int(self.draws.integers(-6, 6) * HOUR_MS)
            now += int(self.draws.integers(HOUR_MS))
            length = int(self.draws.integers(2, 20)) * MINUTE_MS
            if now + length > self.truth.plan.end_ms - _QUIET_MS:
                return
            devices = self.customer.devices
            device = devices[int(self.draws.integers(len(devices)))]
            self._session(device, now, now + length)
            self._do_banking(device, now + MINUTE_MS)

    def _do_banking(self, device: Device, now: int) -> None:
        if now <= self.milestones.get("register", now):
            return
        if device.anonymous_id not in self.signed_up:
            self._sign_up(device, now)
        if now > self.milestones.get("bind_card", now) and self.draws.random() < 0.35:
            self._track(device, "transfer", now + 20_000, {"amount": self._amount(300, 1.3), "fee": 0.0})
        if self.draws.random() < 0.04:
            amount = {"amount": self._amount(20_000, 0.8), "term_months": int(self.draws.choice([6, 12, 24]))}
            self._track(device, "apply_loan", now + 30_000, amount)

    def _session(
        self, device: Device, now: int, end: int, *, first: bool = False, extra: dict[str, Any] | None = None
    ) -> None:
        """From $AppStart to $AppEnd, or to a crash."""
        session = {"$event_session_id": draw_hex(self.draws)}
        self._track(device, "$AppStart", now, {**session, "$is_first_time": first, **(extra or {})})
        screens = int(self.draws.integers(1, 6))
        for number in range(screens):
            moment = now + 1_000 + (end - now - 2_000) * number // screens
            self._track(device, "$AppViewScreen", moment, {**session, "$screen_name": self._one_of(_SCREENS)})
        if self.draws.random() < self.truth.session_crash_rate(self.customer.version, now):
            stack = self._one_of(_STACKS).format(line=int(self.draws.integers(40, 44)))
            self._track(device, "AppCrashed", end, {**session, "app_crashed_reason": stack})
        else:
            self._track(device, "$AppEnd", end, {**session, "event_duration": (end - now) / 1000})

    def _meet_the_ancient(self) -> None:
        """A few devices wake up with an event of years ago: taken with `time_free`, refused without."""
        if self.draws.random() >= _ANCIENT_SHARE:
            return
        free = self.draws.random() < 0.5
        then = self.customer.arrival_ms - _ANCIENT_MS
        self._track(self.customer.devices[0], "$AppEnd", then, {"event_duration": 1.5}, time_free=free)

    # --- records ------------------------------------------------------------------------------------------

    def _sign_up(self, device: Device, now: int) -> None:
        first = not self.signed_up
        self.signed_up.add(device.anonymous_id)
        if not (first and self.customer.loses_first_signup):
            self._record(device, "track_signup", "$SignUp", now, {})

    def _track(
        self, device: Device, event: str, now: int, properties: dict[str, Any], *, time_free: bool = False
    ) -> None:
        known = {"channel": self.customer.channel, **device.properties}
        self._record(device, "track", event, now, {**known, **properties}, time_free=time_free)

    def _profile(self, kind: str, properties: dict[str, Any], device: Device, now: int) -> None:
        self._record(device, kind, None, now, properties)

    def _record(
        self,
        device: Device,
        kind: str,
        event: str | None,
        now: int,
        properties: dict[str, Any],
        *,
        time_free: bool = False,
    ) -> None:
        registered = self.milestones.get("register")
        signed_in = device.anonymous_id in self.signed_up and registered is not None and now > registered
        login_id = self.customer.login_id if signed_in else None
        ancient = now < self.truth.plan.start_ms - _ANCIENT_MS // 2
        self.events.append(
            Event(
                person=self.customer.person,
                device=device.anonymous_id,
                type=kind,
                event=event,
                time_ms=now,
                event_id=draw_hex(self.draws),
                distinct_id=login_id or device.anonymous_id,
                anonymous_id=device.anonymous_id,
                login_id=login_id,
                properties=properties,
                time_free=time_free,
                refused="too_old" if ancient and not time_free else "",
            )
        )

    def _fund(self) -> str:
        return self._one_of(_FUNDS)

    def _one_of(self, choices: tuple[str, ...]) -> str:
        return choices[int(self.draws.integers(len(choices)))]

    def _amount(self, median: float, spread: float) -> float:
        """Yuan, in whole fen: its shortest decimal text is exact."""
        return round(float(median * np.exp(self.draws.normal(0, spread))), 2)
