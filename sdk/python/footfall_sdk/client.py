"""The SDK's public face: calls become records. Nothing blocks, and nothing raises into the host program."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import ssl
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeAlias, TypedDict, Unpack, cast
from uuid import UUID

from footfall_sdk.anonymous_ids import read_or_make_anonymous_id, write_anonymous_id
from footfall_sdk.delivery import Counters, Delivery
from footfall_sdk.losses import Loss
from footfall_sdk.options import Options, RejectionCallback, default_queue_directory
from footfall_sdk.records import id_text, now_ms, plain_properties, time_ms, write_record
from footfall_sdk.transport import Transport
from footfall_sdk.version import VERSION

_log = logging.getLogger("footfall_sdk")
_Arguments = ParamSpec("_Arguments")
_LIB = {"$lib": "footfall-python", "$lib_version": VERSION, "$lib_method": "code"}


Id: TypeAlias = str | int | UUID | Decimal


class Who(TypedDict, total=False):
    """Whose a record is. Nothing given: the client's own identity (one device, one person).

    `login_id` (with or without `anonymous_id`) is a person known to you; `anonymous_id` alone a device;
    `distinct_id` an id of which you do not say which it is. Given both, the server joins device and person.
    What is no text (42, a UUID) is sent as its text; None is as good as not given.
    """

    distinct_id: Id | None
    anonymous_id: Id | None
    login_id: Id | None


def _swallowing(
    method: Callable[Concatenate[Client, _Arguments], None],
) -> Callable[Concatenate[Client, _Arguments], None]:
    """The method, with its errors counted and logged in place of raised."""

    @functools.wraps(method)
    def call(self: Client, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - a host program must never fail over its analytics
            self._count_failure(method.__name__, error)

    return cast("Callable[Concatenate[Client, _Arguments], None]", call)


class Client:
    """Sends events of one program to one Footfall project. Thread-safe; safe to fork."""

    def __init__(
        self,
        url: str,
        write_key: str,
        *,
        properties: Mapping[str, Any] | None = None,
        queue_directory: str | Path | None = None,
        max_queue_bytes: int = 64 * 1024 * 1024,
        send_seconds: float = 1.0,
        timeout_seconds: float = 10.0,
        exit_seconds: float = 2.0,
        on_rejection: RejectionCallback | None = None,
        ssl_context: ssl.SSLContext | None = None,
        **limits: Any,
    ) -> None:
        """Nothing is sent and no thread started before the first record.

        `properties` go with every event. `queue_directory` holds what waits (default: `$FOOTFALL_SDK_QUEUE`
        or `~/.footfall-sdk`, one folder a destination), up to `max_queue_bytes`. Records are sent when they
        are `send_seconds` old, or a batch is full. `timeout_seconds` is for one request, `exit_seconds` for
        delivering at the program's end. `on_rejection(rejection, record)` is called in the sender's thread
        for each record that the server turns away. `limits` are the other fields of `options.Options`.
        """
        self._options = Options(
            url=url,
            write_key=write_key,
            queue_directory=_queue_directory(queue_directory, url, write_key),
            max_queue_bytes=max_queue_bytes,
            send_seconds=send_seconds,
            timeout_seconds=timeout_seconds,
            on_rejection=on_rejection,
            ssl_context=ssl_context,
            **limits,
        )
        self._properties = _own_properties(properties)
        self._exit_seconds = exit_seconds
        self._anonymous_id: str | None = None
        self._login_id: str | None = None
        self._closed = False
        self._begin()
        _open_clients.add(self)

    # --- events and identity ------------------------------------------------------------------------------

    @_swallowing
    def track(
        self,
        event: str,
        properties: Mapping[str, Any] | None = None,
        *,
        time: datetime | float | None = None,
        time_free: bool = False,
        event_id: Id | None = None,
        **who: Unpack[Who],
    ) -> None:
        """Something happened, now or at `time` (a datetime, or epoch milliseconds).

        The same `event_id` sent twice is stored once (default: a new one). `time_free` lets the server take
        an event older than its limit of a year.
        """
        record = self._record("track", properties, time, who, event=event, event_id=event_id)
        if self._properties:
            record["properties"] = {**self._properties, **record["properties"]}
        if time_free:
            record["time_free"] = True
        self._send(record)

    @_swallowing
    def login(
        self,
        login_id: Id,
        *,
        anonymous_id: Id | None = None,
        time: datetime | float | None = None,
        event_id: Id | None = None,
    ) -> None:
        """This device's anonymous id is `login_id`: the events from before count to that person, too.

        Without `anonymous_id` the client's own is meant, and later events carry both ids until `logout`.
        A server that speaks for many people gives the `anonymous_id`; then nothing is remembered.
        """
        login, original_id = id_text(login_id), id_text(anonymous_id) or self.anonymous_id
        if original_id == login or not login:
            raise ValueError("the login id must differ from the anonymous id, and not be empty")
        if anonymous_id is None:
            self._login_id = login
        who = Who(login_id=login, anonymous_id=original_id)
        record = self._record("track_signup", None, time, who, event="$SignUp", event_id=event_id)
        record["properties"] = self._properties
        record["original_id"] = original_id
        self._send(record)

    @_swallowing
    def logout(self) -> None:
        """Later events of the client's own identity carry its anonymous id only."""
        self._login_id = None

    @_swallowing
    def identify(self, anonymous_id: Id) -> None:
        """Uses an anonymous id of your own, from now on and in later runs, in place of the generated one."""
        told = id_text(anonymous_id)
        if not told:
            raise ValueError("an anonymous id must not be empty")
        self._anonymous_id = told
        write_anonymous_id(self._options.queue_directory, told)

    @property
    def anonymous_id(self) -> str:
        """The client's own anonymous id: kept in the queue's directory, so it is the same in the next run."""
        if self._anonymous_id is None:
            self._anonymous_id = read_or_make_anonymous_id(self._options.queue_directory)
        return self._anonymous_id

    # --- profiles -----------------------------------------------------------------------------------------

    @_swallowing
    def profile_set(self, properties: Mapping[str, Any], **who: Unpack[Who]) -> None:
        """Sets properties of the person."""
        self._send(self._record("profile_set", properties, None, who))

    @_swallowing
    def profile_set_once(self, properties: Mapping[str, Any], **who: Unpack[Who]) -> None:
        """Sets properties that the person does not have yet."""
        self._send(self._record("profile_set_once", properties, None, who))

    @_swallowing
    def profile_increment(self, properties: Mapping[str, Any], **who: Unpack[Who]) -> None:
        """Adds numbers to properties of the person."""
        self._send(self._record("profile_increment", properties, None, who))

    @_swallowing
    def profile_append(self, properties: Mapping[str, Sequence[str]], **who: Unpack[Who]) -> None:
        """Adds texts to lists of the person."""
        self._send(self._record("profile_append", properties, None, who))

    @_swallowing
    def profile_unset(self, names: Iterable[str], **who: Unpack[Who]) -> None:
        """Removes properties of the person."""
        listed = [names] if isinstance(names, str) else names
        self._send(self._record("profile_unset", dict.fromkeys(listed, True), None, who))

    @_swallowing
    def profile_delete(self, **who: Unpack[Who]) -> None:
        """Removes all properties of the person."""
        self._send(self._record("profile_delete", None, None, who))

    # --- delivery -----------------------------------------------------------------------------------------

    def flush(self, timeout: float = 10.0) -> bool:
        """Waits, at most `timeout` seconds, until the server has answered for all records so far.

        The only call that waits. False: some still wait (on disk); they go out later.
        """
        try:
            return self._delivery.flush(timeout)
        except Exception as error:  # noqa: BLE001
            self._count_failure("flush", error)
            return False

    def close(self, timeout: float | None = None) -> bool:
        """Flushes, then ends; later records are dropped and counted. Also called at the program's exit."""
        _open_clients.discard(self)
        self._closed = True
        try:
            return self._delivery.close(self._exit_seconds if timeout is None else timeout)
        except Exception as error:  # noqa: BLE001
            self._count_failure("close", error)
            return False

    def counters(self) -> Counters:
        """What became of the records in this process, for your own monitoring."""
        return self._delivery.counters()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- inside -------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        options = self._options
        transport = Transport(
            options.url, options.write_key, options.timeout_seconds, ssl_context=options.ssl_context
        )
        self._delivery = Delivery(options, transport)

    def _begin_after_fork(self) -> None:
        """The child starts with nothing: what waited is the parent's to send."""
        self._delivery.abandon_after_fork()
        self._begin()

    def _record(
        self,
        kind: str,
        properties: Mapping[str, Any] | None,
        moment: datetime | float | None,
        who: Who,
        *,
        event: str | None = None,
        event_id: Id | None = None,
    ) -> dict[str, Any]:
        record: dict[str, Any] = {
            "type": kind,
            "time": now_ms(time.time()) if moment is None else time_ms(moment),
            "event_id": id_text(event_id) or uuid.uuid4().hex,
            **self._ids(who),
            "properties": plain_properties(properties),
            "lib": _LIB,
        }
        if event is not None:
            record["event"] = event
        return record

    def _ids(self, who: Who) -> Mapping[str, str]:
        if not who:
            login_id, anonymous_id = self._login_id, self.anonymous_id
            if login_id is None:
                return {"distinct_id": anonymous_id, "anonymous_id": anonymous_id}
            return {"distinct_id": login_id, "login_id": login_id, "anonymous_id": anonymous_id}
        ids = {name: told for name, value in who.items() if (told := id_text(value)) is not None}
        if not ids:
            raise ValueError(f"{', '.join(who)} is None: give an id, or none for the client's own identity")
        if unknown := ids.keys() - Who.__annotations__.keys():
            raise TypeError(
                f"no argument {', '.join(sorted(unknown))}; ids are {', '.join(Who.__annotations__)}"
            )
        fallback = ids.get("login_id") or ids.get("anonymous_id")
        return {**({"distinct_id": fallback} if fallback else {}), **ids}

    def _send(self, record: dict[str, Any]) -> None:
        if self._closed:
            self._delivery.losses.add(Loss.CLOSED)
            return
        self._delivery.enqueue(write_record(record))

    def _count_failure(self, method: str, error: Exception) -> None:
        with suppress(Exception):
            self._delivery.losses.add(Loss.INVALID)
            _log.warning("%s: nothing was sent: %s: %s", method, type(error).__name__, error)


def _queue_directory(told: str | Path | None, url: str, write_key: str) -> Path | None:
    """None where there is none: RuntimeError means a user without a home, as in many containers."""
    try:
        return Path(told) if told else default_queue_directory(url, write_key)
    except (RuntimeError, TypeError, ValueError) as error:
        _log.warning("no directory for the queue, so it is in memory: %s; give queue_directory", error)
        return None


def _own_properties(properties: Mapping[str, Any] | None) -> dict[str, Any]:
    try:
        return plain_properties(properties)
    except Exception as error:  # noqa: BLE001 - a host program must never fail over its analytics
        _log.warning("the client's properties are left out: %s: %s", type(error).__name__, error)
        return {}


_open_clients: set[Client] = set()


def _close_all() -> None:
    """At exit: what has been tracked is on disk or delivered, within each client's `exit_seconds`."""
    for client in list(_open_clients):
        client.close()


def _hold_all_for_fork() -> None:
    for client in list(_open_clients):
        client._delivery.queue.hold_for_fork()


def _release_all_after_fork() -> None:
    for client in list(_open_clients):
        client._delivery.queue.release_after_fork()


def _begin_all_after_fork() -> None:
    for client in list(_open_clients):
        with suppress(Exception):
            client._begin_after_fork()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_hold_all_for_fork,
        after_in_parent=_release_all_after_fork,
        after_in_child=_begin_all_after_fork,
    )
