"""Step: words by which SDKs say "I could not tell" are no values: the property is missing.

Which words on which properties: SENTINELS and `_may_hold_sentinels`; docs/enrichment.md shows them to users.
'直接流量' (direct) stays: it is a real value of the traffic source types.
"""

from __future__ import annotations

from processor.event_block import EventBlock, select_sparse

SENTINELS = frozenset({
    "url的domain解析失败",
    "url解析失败",
    "referrer的domain解析失败",
    "未取到",
    "未取到值",
    "未取到值_直接打开",
    "未取到值_非http的url",
    "未取到关键词",
    "取值异常",
    "直接打开",
})  # fmt: skip
_PREFIXES = ("$latest_", "$first_", "$utm_")
_NAMES = frozenset({
    "$referrer", "$referrer_host", "$referrer_title", "$url", "$url_host", "$url_path", "$title",
    "$search_keyword", "$traffic_source_type",
})  # fmt: skip


def drop_sentinels(block: EventBlock) -> EventBlock:
    """Removes such values from the preset properties that carry them; custom properties stay as they came."""
    for name, sparse in block.properties.items():
        if _may_hold_sentinels(name):
            keep = [type(value) is not str or value not in SENTINELS for value in sparse.values]
            if not all(keep):
                block = block.with_property(name, select_sparse(sparse, keep))
    return block


def _may_hold_sentinels(name: str) -> bool:
    return name in _NAMES or name.startswith(_PREFIXES)
