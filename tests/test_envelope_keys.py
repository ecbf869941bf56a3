"""Keys of envelopes: made, imported, published, retired; their private parts rest sealed."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import gmalg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.envelopes import sm2
from footfall.envelopes.keys import Algorithm, InvalidKey, KeyPair, generate, hold, read_key
from footfall.envelopes.vault import Vault, VaultClosed
from footfall.workspace import Workspace, open_workspace
from footfall.workspace.envelope_keys import EnvelopeKeyRefused, EnvelopeKeys, KeyRings
from tests.captured import FIXTURES
from tests.envelopes import Device

VAULT = Vault(b"an installation key of 32 bytes!")
SESSION = b"0123456789abcdef"
CAPTURED = json.loads((FIXTURES / "sm2-test-key.json").read_text())


@pytest.fixture
def workspace(workspace_url: str) -> Iterator[Workspace]:
    with closing(open_workspace(workspace_url)) as opened:
        opened.bootstrap(None, None)
        yield opened


@pytest.fixture
def keys(workspace: Workspace) -> EnvelopeKeys:
    return workspace.envelope_keys


def test_the_public_point_of_the_captured_key_is_the_one_beside_it() -> None:
    assert read_key(Algorithm.SM2, CAPTURED["private_key"]).public == CAPTURED["public_key"]


@settings(max_examples=10, deadline=None)
@given(st.integers(1, sm2.N - 2), st.binary(min_size=1, max_size=100))
def test_sm2_opens_what_another_implementation_sealed(scalar: int, text: bytes) -> None:
    public = b"\x04" + sm2.write_point(sm2.public_point(scalar))
    sealed = gmalg.SM2(pk=public).encrypt(text)
    assert sealed[0] == 4
    assert sm2.decrypt(scalar, sealed[1:]) == text


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 111), st.integers(1, 255))
def test_sm2_opens_nothing_that_was_changed(position: int, change: int) -> None:
    scalar = int(CAPTURED["private_key"], 16)
    sealed = bytearray(gmalg.SM2(pk=bytes.fromhex(CAPTURED["public_key"])).encrypt(SESSION)[1:])
    sealed[position] ^= change
    with pytest.raises(sm2.NotSm2):
        sm2.decrypt(scalar, bytes(sealed))


@pytest.mark.parametrize("sealed", [b"", b"\0" * 96, b"\0" * 112, b"\xff" * 112])
def test_sm2_opens_nothing_that_is_no_ciphertext(sealed: bytes) -> None:
    with pytest.raises(sm2.NotSm2):
        sm2.decrypt(5, sealed)


def test_a_scalar_that_is_no_key_is_refused() -> None:
    for text in ("0" * 64, "f" * 64, f"{sm2.N - 1:064x}", "12", "x" * 64, CAPTURED["public_key"]):
        with pytest.raises(InvalidKey, match="private key of SM2"):
            read_key(Algorithm.SM2, text)
    assert sm2.public_point(sm2.N - 2)


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes | None = None) -> str:
    protection = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection).decode()


def test_an_rsa_key_that_a_bank_has_opens_what_was_sealed_to_it() -> None:
    own = rsa.generate_private_key(65537, 2048)
    pair = read_key(Algorithm.RSA, f"\n{pem_of(own)}\n")
    held = hold(Algorithm.RSA, "1", pair.private)
    sealed = own.public_key().encrypt(SESSION, padding.PKCS1v15())
    assert held.fits(sealed)
    assert held.open_session(sealed) == SESSION
    assert held.open_session(own.public_key().encrypt(SESSION.hex().encode(), padding.PKCS1v15())) == SESSION
    assert held.open_session(own.public_key().encrypt(b"short", padding.PKCS1v15())) is None
    assert held.open_session(b"\xff" * 256) is None
    assert held.name == "rsa-1"


def test_keys_that_cannot_be_used_are_refused_with_what_can() -> None:
    own = rsa.generate_private_key(65537, 2048)
    with pytest.raises(InvalidKey, match="password"):
        read_key(Algorithm.RSA, pem_of(own, b"secret"))
    with pytest.raises(InvalidKey, match="ECIES"):
        read_key(Algorithm.RSA, pem_of(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(InvalidKey, match="2048, 3072, 4096 bits"):
        read_key(Algorithm.RSA, pem_of(rsa.generate_private_key(65537, 1024)))
    for text in ("", "nonsense", "-----BEGIN PRIVATE KEY-----"):
        with pytest.raises(InvalidKey, match="neither PEM"):
            read_key(Algorithm.RSA, text)
    for text in ("", "00" * 15, "é", "A" * 30_000):
        with pytest.raises(InvalidKey):
            read_key(Algorithm.AES, text)


def test_an_aes_key_is_read_from_hexadecimal_and_base64() -> None:
    assert read_key(Algorithm.AES, "00" * 16).private == bytes(16)
    assert read_key(Algorithm.AES, "AAAAAAAAAAAAAAAAAAAAAA==").private == bytes(16)


def test_a_key_is_kept_published_and_retired(keys: EnvelopeKeys) -> None:
    first = keys.add("default", generate(Algorithm.SM2), None, VAULT, 1)
    second = keys.add("default", generate(Algorithm.SM2), None, VAULT, 2)
    other = keys.add("default", generate(Algorithm.RSA), None, VAULT, 3)
    assert [first.name, second.name, other.name] == ["sm2-1", "sm2-2", "rsa-3"]
    assert keys.current("default") == []
    keys.publish("default", "sm2-1", 4)
    keys.publish("default", "rsa-3", 5)
    keys.publish("default", "sm2-2", 6)
    assert [(key.name, key.published_at) for key in keys.current("default")] == [("sm2-2", 6), ("rsa-3", 5)]
    with pytest.raises(EnvelopeKeyRefused, match="publish another SM2 key first"):
        keys.retire("default", "sm2-2", 7)
    assert keys.retire("default", "sm2-1", 8).retired_at == 8
    assert keys.retire("default", "sm2-1", 9).retired_at == 8
    with pytest.raises(EnvelopeKeyRefused, match="retired"):
        keys.publish("default", "sm2-1", 10)
    assert [sealed.version for sealed in keys.sealed("default")] == ["2", "3"]
    assert keys.add("default", generate(Algorithm.SM2), None, VAULT, 11).name == "sm2-4"
    assert keys.projects() == {"default": 11}


def test_a_key_that_was_the_wrong_one_is_replaced_under_its_number(keys: EnvelopeKeys) -> None:
    wrong, right = generate(Algorithm.SM2), generate(Algorithm.SM2)
    keys.add("default", wrong, "7", VAULT, 1)
    with pytest.raises(EnvelopeKeyRefused, match="retire that first"):
        keys.add("default", right, "7", VAULT, 2)
    keys.retire("default", "sm2-7", 3)
    assert keys.projects() == {}
    assert keys.add("default", right, "7", VAULT, 4).retired_at is None
    rings = KeyRings(keys, VAULT)
    ekey = b64decode(Device(right, pkv=7, session=SESSION).events({})["ekey"])
    (key,) = rings("default").candidates("7", ekey)
    assert key.open_session(ekey) == SESSION
    assert keys.projects() == {"default": 4}, "what waits is tried again"
    assert [each.name for each in keys.all("default")] == ["sm2-7"]
    keys.retire("default", "sm2-7", 5)
    assert keys.add("default", wrong, None, VAULT, 6).name == "sm2-8"


def test_numbers_that_cannot_be_are_refused(keys: EnvelopeKeys) -> None:
    pair, secret = generate(Algorithm.SM2), generate(Algorithm.AES)
    keys.add("default", pair, "7", VAULT, 1)
    keys.add("default", KeyPair(Algorithm.RSA, "", b"x"), "7", VAULT, 1)  # beside an SM2 key of that number
    for version, words in (("7", "already"), ("-1", "whole"), ("03", "whole"), ("2147483648", "at most")):
        with pytest.raises(EnvelopeKeyRefused, match=words):
            keys.add("default", pair, version, VAULT, 1)
    with pytest.raises(EnvelopeKeyRefused, match="key_id"):
        keys.add("default", secret, "a b", VAULT, 1)
    keys.add("default", secret, "app-key", VAULT, 1)
    with pytest.raises(EnvelopeKeyRefused, match="never be published"):
        keys.publish("default", "aes-app-key", 2)
    with pytest.raises(EnvelopeKeyRefused, match="no key 'sm2-8'"):
        keys.publish("default", "sm2-8", 2)


def test_private_parts_rest_sealed_and_open_only_at_their_place(
    keys: EnvelopeKeys, workspace: Workspace, tmp_path: Path
) -> None:
    private = bytes.fromhex(CAPTURED["private_key"])
    keys.add("default", read_key(Algorithm.SM2, CAPTURED["private_key"]), "3", VAULT, 1)
    (sealed,) = keys.sealed("default")
    held = sealed.open("default", VAULT)
    assert held.open_session(gmalg.SM2(pk=bytes.fromhex(CAPTURED["public_key"])).encrypt(SESSION)) == SESSION
    with pytest.raises(VaultClosed, match="another installation key"):
        sealed.open("default", Vault(b"another installation key, 32 byt"))
    with pytest.raises(VaultClosed):
        sealed.open("bank", VAULT)
    keys.retire("default", "sm2-3", 2)
    workspace.close()
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert private not in content
        assert CAPTURED["private_key"].encode() not in content
        assert sealed.sealed not in content or path.name != "workspace.db"
