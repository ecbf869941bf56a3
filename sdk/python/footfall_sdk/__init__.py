"""Sends events to Footfall: `Client` is all there is to know.

    from footfall_sdk import Client

    footfall = Client("http://127.0.0.1:8106", write_key="ff_wk_...")
    footfall.track("purchase_fund", {"fund_id": "F100"}, distinct_id="cust-1")
    footfall.close()

A tracked event goes: client (record) -> delivery's buffer -> disk_queue -> transport -> the collector.
"""

from footfall_sdk.client import Client, Who
from footfall_sdk.delivery import Counters
from footfall_sdk.losses import Loss
from footfall_sdk.transport import Rejection
from footfall_sdk.version import VERSION

__version__ = VERSION
__all__ = ["Client", "Counters", "Loss", "Rejection", "Who", "__version__"]
