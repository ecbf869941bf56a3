"""Asks Footfall where people drop off, with nothing but the standard library."""

import json
import os
import urllib.request


def main() -> None:
    question = {
        "range": {"last": {"value": 30, "unit": "day"}},
        "steps": [{"event": "register"}, {"event": "bind_card"}, {"event": "purchase_fund"}],
        "window": {"value": 14, "unit": "day"},
    }
    request = urllib.request.Request(
        "http://127.0.0.1:8107/api/v1/query/funnel",
        json.dumps(question).encode(),
        {"Authorization": f"Bearer {os.environ['FOOTFALL_SECRET_KEY']}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        answer = json.load(response)
    for step in answer["result"]["steps"]:
        print(f"{step['label']:<20} {step['users']:>8,} {step['conversion_rate']:>8.1%}")


if __name__ == "__main__":
    main()
