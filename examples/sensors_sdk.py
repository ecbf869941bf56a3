"""The unchanged Sensors Analytics Python SDK (SensorsAnalyticsSDK==1.11.0), pointed at Footfall."""

import os

import sensorsanalytics


def main() -> None:
    url = f"http://127.0.0.1:8106/sa?project=default&token={os.environ['FOOTFALL_WRITE_KEY']}"
    sa = sensorsanalytics.SensorsAnalytics(sensorsanalytics.BatchConsumer(url))
    sa.track("device-78", "register", {"channel": "app_store"})
    sa.track_signup("cust-2", "device-78")
    sa.track("cust-2", "bind_card", {"card_type": "debit"}, is_login_id=True)
    sa.close()
    print("sent")


if __name__ == "__main__":
    main()
