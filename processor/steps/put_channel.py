"""Step: where a page view's visitor came from -> `$traffic_source_type` (Sensors' words) and `$channel`
(which one).

Only for web events that say their referrer, be it empty. A click inside the site has no source of its own.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from processor.event_block import EventBlock

DIRECT, SEARCH, PAID, SOCIAL, REFERRAL = (
    "直接流量", "自然搜索流量", "付费广告流量", "社交网站流量", "引荐流量",
)  # fmt: skip

_SEARCH_ENGINES = {
    "baidu.com": "baidu", "google.com": "google", "google.com.hk": "google", "bing.com": "bing",
    "sogou.com": "sogou", "so.com": "360", "sm.cn": "shenma", "toutiao.com": "toutiao", "yahoo.com": "yahoo",
    "yandex.com": "yandex", "yandex.ru": "yandex", "duckduckgo.com": "duckduckgo", "youdao.com": "youdao",
}  # fmt: skip
_SOCIAL_SITES = {
    "weibo.com": "weibo", "weibo.cn": "weibo", "zhihu.com": "zhihu", "douban.com": "douban",
    "xiaohongshu.com": "xiaohongshu", "douyin.com": "douyin", "kuaishou.com": "kuaishou",
    "bilibili.com": "bilibili",
    "qq.com": "qq", "weixin.qq.com": "wechat", "tieba.baidu.com": "tieba", "facebook.com": "facebook",
    "t.co": "twitter", "twitter.com": "twitter", "x.com": "twitter", "linkedin.com": "linkedin",
    "instagram.com": "instagram", "youtube.com": "youtube", "reddit.com": "reddit",
}  # fmt: skip


class Source(NamedTuple):
    """The kind of traffic and which channel it is."""

    type: str
    channel: str


def put_channel(block: EventBlock) -> EventBlock:
    """Runs after put_url and put_referrer, whose properties it reads."""
    referrer = block.properties.get("$referrer")
    hosts = block.properties.get("$url_host")
    if referrer is None or hosts is None:
        return block
    texts = _texts_by_row(block, ("$url_host", "$referrer_host", "$utm_source", "$utm_medium"))
    on_the_web = ~block.rows_without(("$url_host",))
    rows, sources = [], []
    for row, sent in zip(referrer.rows.tolist(), referrer.values, strict=True):
        if on_the_web[row]:
            source = read_source(*(column.get(row, "") for column in texts), sent == "")
            if source is not None:
                rows.append(row)
                sources.append(source)
    numbers = np.array(rows, np.int32)
    block = block.put("$traffic_source_type", numbers, [source.type for source in sources])
    return block.put("$channel", numbers, [source.channel for source in sources])


def _texts_by_row(block: EventBlock, names: tuple[str, ...]) -> list[dict[int, str]]:
    columns = []
    for name in names:
        sparse = block.properties.get(name)
        entries = [] if sparse is None else zip(sparse.rows.tolist(), sparse.values, strict=True)
        columns.append({row: value for row, value in entries if type(value) is str})
    return columns


@lru_cache(maxsize=50_000)
def read_source(
    host: str, referrer_host: str, utm_source: str, utm_medium: str, no_referrer: bool
) -> Source | None:
    """None: the visitor was on this site already, or nothing is known.

    >>> read_source("bank.example", "www.baidu.com", "", "", False)
    Source(type='自然搜索流量', channel='baidu')
    """
    if utm_source or utm_medium:
        return Source(PAID, utm_source or utm_medium)
    if no_referrer:
        return Source(DIRECT, "direct")
    if not referrer_host or referrer_host == host:
        return None
    if (site := _longest_match(referrer_host, _SOCIAL_SITES)) is not None:
        return Source(SOCIAL, site)
    if (engine := _longest_match(referrer_host, _SEARCH_ENGINES)) is not None:
        return Source(SEARCH, engine)
    return Source(REFERRAL, referrer_host)


def _longest_match(host: str, sites: dict[str, str]) -> str | None:
    """The site whose domain the host is or lies under; m.weixin.qq.com is weixin.qq.com rather than
    qq.com.
    """
    labels = host.split(".")
    for start in range(len(labels) - 1):
        if (site := sites.get(".".join(labels[start:]))) is not None:
            return site
    return None
