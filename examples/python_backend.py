"""A bank's back end that tells Footfall what its customers do."""

import os
from decimal import Decimal

from footfall_sdk import Client, Rejection


def log_rejection(rejection: Rejection, record: dict[str, object]) -> None:
    print(f"rejected: {record.get('event')}: {rejection.message}")


def main() -> None:
    key = os.environ["FOOTFALL_WRITE_KEY"]
    with Client("http://127.0.0.1:8106", key, on_rejection=log_rejection) as footfall:
        footfall.track("register", {"channel": "app_store"}, anonymous_id="device-77")
        footfall.login("cust-1", anonymous_id="device-77")
        footfall.track("bind_card", {"card_type": "debit"}, login_id="cust-1")
        purchase = {"fund_id": "F100", "amount": Decimal("1500.50"), "currency": "CNY"}
        footfall.track("purchase_fund", purchase, login_id="cust-1")
        footfall.profile_set({"level": "gold"}, login_id="cust-1")
        print("delivered" if footfall.flush(10) else "waits on disk", footfall.counters())


if __name__ == "__main__":
    main()
