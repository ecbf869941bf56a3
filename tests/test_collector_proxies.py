"""Which address a record came from, behind proxies and in the face of invented headers."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from collector.options import CollectorOptions
from collector.proxies import TrustedProxies
from tests.collector_worker import Worker, event

OURS = TrustedProxies([ip_network("127.0.0.1"), ip_network("10.1.0.0/16"), ip_network("fd00::/8")])


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("127.0.0.1", True),
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("fd00::1", True),
        ("10.2.0.1", False),
        ("::1", False),
        ("", False),
        ("unix", False),
    ],
)
def test_a_peer_is_a_proxy_of_ours_or_not(peer, trusted):
    assert OURS.trusts(peer) is trusted
    assert OURS.trusts(peer) is trusted, "also when it is remembered"


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["1.2.3.4, 203.0.113.9"], "203.0.113.9"),  # the client invented the first
        (["203.0.113.9, 10.1.0.7"], "203.0.113.9"),  # two proxies of ours
        (["1.2.3.4", "203.0.113.9", "10.1.0.7"], "203.0.113.9"),  # each with a header of its own
        (["10.1.0.8, 203.0.113.9, 10.1.0.7"], "203.0.113.9"),  # an invented proxy of ours
        (["203.0.113.9:51234"], "203.0.113.9"),
        (["[2001:db8::1]:443"], "2001:db8::1"),
        (["2001:DB8:0::1"], "2001:db8::1"),
        (["::ffff:203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9, unknown"], "127.0.0.1"),  # the proxy itself does not know
        (["203.0.113.9, unknown, 10.1.0.7"], "10.1.0.7"),
        (["<script>alert(1)</script>"], "127.0.0.1"),
        (["10.1.0.7, 10.1.0.8"], "10.1.0.7"),  # a request of a proxy's own
        ([""], "127.0.0.1"),
        ([", ,203.0.113.9,,"], "203.0.113.9"),
        (["1.2.3.4," * 10_000 + "203.0.113.9"], "203.0.113.9"),
        (["10.1.0.7," * 10_000 + "203.0.113.9," + "10.1.0.7," * 10], "203.0.113.9"),
    ],
)
def test_the_client_is_the_last_that_is_no_proxy_of_ours(forwarded, client):
    assert OURS.client_of("127.0.0.1", [line.encode() for line in forwarded]) == client


async def test_a_header_from_a_stranger_is_not_believed():
    worker = Worker(CollectorOptions(trusted_proxies=(ip_network("10.0.0.1"),)))
    await worker.track(event(), headers={"X-Forwarded-For": "1.2.3.4"})
    assert [stored.header.ip for stored in worker.stored()] == ["127.0.0.1"]


async def test_several_headers_count_as_one_list():
    worker = Worker(CollectorOptions(trusted_proxies=(ip_network("127.0.0.0/8"), ip_network("10.0.0.1"))))
    lines = [
        ("X-Forwarded-For", "1.1.1.1"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-For", "10.0.0.1"),
    ]
    await worker.track(event(), headers=lines)
    assert [stored.header.ip for stored in worker.stored()] == ["203.0.113.9"]


async def test_nobody_is_trusted_who_trusts_nobody():
    worker = Worker(CollectorOptions(trusted_proxies=()))
    await worker.track(event(), headers={"X-Forwarded-For": "1.2.3.4"})
    assert [stored.header.ip for stored in worker.stored()] == ["127.0.0.1"]
