"""What encryption adds to an event at the Sensors door.

Unit: CPU time of one process, reading and judging requests of 20 events, as the door does it, without the
server and the log around it. Session keys are known but for the rows about them: each is opened once.
"""

from __future__ import annotations

import gzip
import json
import os
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES, SM4
from cryptography.hazmat.primitives.padding import PKCS7

from bench.records import draw_events
from bench.results import Row, Section
from bench.timing import cpu_clock, median_seconds
from collector.encrypted import judge_inner
from collector.envelopes import open_envelope, read_fields
from footfall.envelopes.keys import Algorithm, HeldKey, KeyRing, generate, hold
from footfall.envelopes.opening import Room, read_element, unwrap
from footfall.events.batch import read_batch, split_batch
from footfall.events.names import KnownNames
from footfall.events.verdicts import SENSORS, Judge

_EVENTS = 20
_LIMIT = 16 << 20
_SESSION = bytes(range(16))
_EKEYS = {Algorithm.RSA: bytes(256), Algorithm.SM2: bytes(112)}


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure."""

    rounds: int = 7
    requests: int = 500
    session_keys: int = 200

    @classmethod
    def of(cls, quick: bool) -> Effort:
        return cls(rounds=1, requests=5, session_keys=5) if quick else cls()


def measure(effort: Effort) -> Section:
    """An event in an envelope beside a plain one, and a session key."""
    events = list(draw_events(effort.requests * _EVENTS, 1))
    batches = [events[at : at + _EVENTS] for at in range(0, len(events), _EVENTS)]
    keys = {each: hold(each, "1", generate(each).private) for each in (Algorithm.RSA, Algorithm.SM2)}
    cases: dict[str, Callable[[], object]] = {"plain": _plain([_plain_body(batch) for batch in batches])}
    for algorithm, key in keys.items():
        cases[algorithm] = _sealed([_sealed_body(batch, algorithm) for batch in batches], key)
    seconds = median_seconds(cases, effort.rounds, cpu_clock)
    count = effort.requests * _EVENTS
    rows = [
        Row(
            f"an event in an envelope of {algorithm} / a gzipped one, {_EVENTS} a request",
            f"{seconds[algorithm] / count * 1e6:.1f} us",
            f"{seconds['plain'] / count * 1e6:.1f} us",
            seconds[algorithm] / seconds["plain"],
        )
        for algorithm in keys
    ]
    openings = {each.value: _openings(key, effort.session_keys) for each, key in keys.items()}
    opened = median_seconds(openings, effort.rounds, cpu_clock)
    rows += [
        Row(f"a session key of {each}, opened once", f"{opened[each] / effort.session_keys * 1e3:.2f} ms")
        for each in keys
    ]
    return Section("Encrypted uploads", rows, ["decoding, decryption, decompression, verdicts; no log"])


def _plain(bodies: list[bytes]) -> Callable[[], None]:
    judge = Judge(SENSORS, KnownNames())

    def read() -> None:
        for body in bodies:
            envelope = open_envelope(read_fields(body), _LIMIT)
            assert envelope is not None
            _check(read_batch(envelope.text, judge, _now(envelope.text)).refusals)

    return read


def _sealed(bodies: list[bytes], key: HeldKey) -> Callable[[], None]:
    judge, ring = Judge(SENSORS, KnownNames()), KeyRing([("1", key)])
    sessions = {(key.name, _EKEYS[key.algorithm]): _SESSION}

    def read() -> None:
        for body in bodies:
            envelope = open_envelope(read_fields(body), _LIMIT)
            assert envelope is not None
            room = Room(_LIMIT)
            elements = map(read_element, split_batch(envelope.text))
            inner = [each for element in elements for each in unwrap(element, ring, sessions, room)]
            _check(judge_inner(inner, judge, _now(inner[0].element)).verdicts.refusals)

    return read


def _now(text: bytes) -> int:
    """A moment at which the events are fresh: what their sender's clock says."""
    return int(text.split(b'"_flush_time": ', 1)[1][:13])


def _check(refusals: list[object] | object) -> None:
    assert not refusals, refusals


def _plain_body(batch: list[dict[str, object]]) -> bytes:
    text = b64encode(gzip.compress(json.dumps(batch, ensure_ascii=False).encode()))
    return b"gzip=1&data_list=" + quote(text, safe="").encode()


def _sealed_body(batch: list[dict[str, object]], algorithm: Algorithm) -> bytes:
    payloads = [_payload(json.dumps(event, ensure_ascii=False).encode(), algorithm) for event in batch]
    ekey = b64encode(_EKEYS[algorithm]).decode()
    text = json.dumps([{"pkv": 1, "ekey": ekey, "payloads": payloads}])
    return b"gzip=9&data_list=" + quote(text, safe="").encode()


def _payload(text: bytes, algorithm: Algorithm) -> str:
    cipher = SM4(_SESSION) if algorithm is Algorithm.SM2 else AES(_SESSION)
    iv = os.urandom(16)
    padder, encryptor = PKCS7(128).padder(), Cipher(cipher, modes.CBC(iv)).encryptor()
    padded = padder.update(gzip.compress(text)) + padder.finalize()
    return b64encode(iv + encryptor.update(padded) + encryptor.finalize()).decode()


def _openings(key: HeldKey, count: int) -> Callable[[], None]:
    """RSA takes as long for any text; SM2 multiplies a point of the curve before it can tell."""
    ekeys = [_EKEYS[key.algorithm]] * count
    if key.algorithm is Algorithm.SM2:
        own = bytes.fromhex(generate(Algorithm.SM2).public)[1:]
        ekeys = [own + bytes(48)] * count

    def open_all() -> None:
        for ekey in ekeys:
            key.open_session(ekey)

    return open_all
