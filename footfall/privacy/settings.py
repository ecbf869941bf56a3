"""What a project may set about privacy: the one place that says what its settings may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from fnmatch import translate
from typing import Any, Final, Literal, cast, get_args

from footfall.privacy.kinds import ACTIONS, DETECTED, Action, Detected
from footfall.privacy.never_collect import is_never_collected
from footfall.privacy.suites import SUITES, SuiteName, gm_is_available

Ids = Literal["detected", "all", "keep"]
Address = Literal["drop", "truncate", "keep"]
Source = Literal["event", "user", "item"]

MOST_RULES: Final = 1_000
LONGEST_NAME: Final = 255
MOST_EVENTS: Final = 1_000
_FIELDS: Final = ("detect", "ids", "ip", "c2", "suite", "rules")
_RULE_FIELDS: Final = ("property", "action", "events", "of")
_C2: Final[tuple[Action, ...]] = ("mask", "tokenise", "hash")
_ID_NAMES: Final = ("distinct_id", "login_id", "anonymous_id", "original_id", "event_id", "item_id")
_MOST_FAULTS: Final = 100
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done to a property, or to the properties whose names fit (`*` stands for any letters).

    Also `user_agent`, `lib.<name>` and `identities.<name>`.
    """

    name: str
    action: Action
    events: tuple[str, ...] = ()  # none named: of all events, users and items
    of: Source | None = None

    def as_json(self) -> dict[str, Any]:
        """What was set of it."""
        told: dict[str, Any] = {"property": self.name, "action": self.action}
        if self.events:
            told["events"] = list(self.events)
        return told if self.of is None else {**told, "of": self.of}

    @property
    def is_pattern(self) -> bool:
        return "*" in self.name

    @property
    def expression(self) -> str:
        """The pattern as a regular expression."""
        return translate(self.name.replace("[", "[[]").replace("?", "[?]"))


@dataclass(frozen=True, slots=True)
class PrivacySettings:
    """Of a project. What is not set is as careful as here."""

    detect: Mapping[Detected, Action] = field(default_factory=lambda: dict.fromkeys(DETECTED, "mask"))
    ids: Ids = "detected"
    ip: Address = "drop"
    c2: Action = "mask"  # what grade C2 means; C3 means drop, C1 keep
    suite: SuiteName | None = None  # None: the installation's
    rules: tuple[Rule, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As `read_settings` reads it."""
        told = asdict(self)
        told["rules"] = [rule.as_json() for rule in self.rules]
        return told


@dataclass(frozen=True, slots=True)
class PrivacyFault:
    """One thing that is wrong; `code` is unknown_field, unknown_value, missing_field or invalid_value."""

    field: str  # "rules[0].action"
    code: str
    message: str
    given: Any = None
    allowed: Sequence[str] = ()
    nearest: str | None = None

    def __str__(self) -> str:
        hint = f"; did you mean {self.nearest!r}?" if self.nearest is not None else ""
        return f"{self.field}: {self.message}{hint}" if self.field else self.message + hint


class InvalidPrivacy(ValueError):  # noqa: N818 - reads as what it is
    """Settings that cannot be; every fault that was found."""

    def __init__(self, faults: Sequence[PrivacyFault]) -> None:
        super().__init__("; ".join(map(str, faults[:10])))
        self.faults = tuple(faults)


def read_settings(value: Any) -> PrivacySettings:
    """The settings that JSON values describe; what is left out has its default. Raises InvalidPrivacy."""
    reader = _Reader()
    settings = reader.read(value)
    if reader.faults:
        raise InvalidPrivacy(reader.faults[:_MOST_FAULTS])
    return settings


class _Reader:
    """Reads on behind a fault, so that all are told at once."""

    def __init__(self) -> None:
        self.faults: list[PrivacyFault] = []

    def read(self, value: Any) -> PrivacySettings:
        given = self._object("", value, _FIELDS)
        default = PrivacySettings()
        suite = given.get("suite")
        if suite is not None:
            suite = self._word("suite", suite, SUITES)
            if suite == "gm" and not gm_is_available():
                self._fault("suite", "invalid_value", "the OpenSSL of this installation has no SM3 and SM4")
        return PrivacySettings(
            detect=self._detect(given.get("detect", {})),
            ids=self._word("ids", given.get("ids", default.ids), get_args(Ids)),
            ip=self._word("ip", given.get("ip", default.ip), get_args(Address)),
            c2=self._word("c2", given.get("c2", default.c2), _C2),
            suite=suite,
            rules=self._rules(given.get("rules", [])),
        )

    def _detect(self, value: Any) -> dict[Detected, Action]:
        given = self._object("detect", value, DETECTED)
        return {
            kind: self._word(f"detect.{kind}", given[kind], ACTIONS) if kind in given else "mask"
            for kind in DETECTED
        }

    def _rules(self, value: Any) -> tuple[Rule, ...]:
        if not isinstance(value, list | tuple):
            self._fault("rules", "invalid_value", "rules are a list", value)
            return ()
        if len(value) > MOST_RULES:
            self._fault("rules", "invalid_value", f"{len(value)} rules, at most {MOST_RULES} are allowed")
            return ()
        rules = [self._rule(f"rules[{number}]", each) for number, each in enumerate(value)]
        return tuple(rule for rule in rules if rule is not None)

    def _rule(self, place: str, value: Any) -> Rule | None:
        faults = len(self.faults)
        given = self._object(place, value, _RULE_FIELDS)
        if not given:
            if len(self.faults) == faults:
                self._fault(place, "missing_field", "a rule has a property and an action")
            return None
        for name in ("property", "action"):
            if name not in given:
                self._fault(f"{place}.{name}", "missing_field", f"a rule needs {name}")
        if len(self.faults) > faults:
            return None
        rule = Rule(
            name=self._name(f"{place}.property", given["property"]),
            action=self._word(f"{place}.action", given["action"], ACTIONS),
            events=self._events(f"{place}.events", given.get("events", [])),
            of=None if given.get("of") is None else self._word(f"{place}.of", given["of"], get_args(Source)),
        )
        if len(self.faults) == faults:
            self._check(place, rule)
        return rule

    def _check(self, place: str, rule: Rule) -> None:
        """What no rule may say."""
        name = rule.name
        if is_never_collected(name) and rule.action != "drop":
            message = f"{name} is a name whose values are never collected, whatever a rule says"
            self._fault(f"{place}.action", "invalid_value", message, rule.action, ["drop"])
        elif name in _ID_NAMES:
            message = f"{name} is no property: `ids` says what is done to ids"
            self._fault(f"{place}.property", "invalid_value", message, name)
        elif name == "$ip":
            self._fault(f"{place}.property", "invalid_value", "`ip` says what is done to addresses", name)
        elif name.startswith("identities.") and rule.action not in ("keep", "hash"):
            message = "an id is kept, or hashed (which keeps people apart): anything else would merge people"
            self._fault(f"{place}.action", "invalid_value", message, rule.action, ["keep", "hash"])
        elif name.startswith("identities.") and (rule.events or rule.of):
            message = (
                "an identity is the same in every record, or people fall apart: its rule is for all of them"
            )
            field = "events" if rule.events else "of"
            self._fault(f"{place}.{field}", "invalid_value", message)
        elif rule.events and rule.of not in (None, "event"):
            message = "a rule for some events is one for properties of events"
            self._fault(f"{place}.of", "invalid_value", message, rule.of, ["event"])

    def _name(self, place: str, value: Any) -> str:
        if not isinstance(value, str) or not value or len(value) > LONGEST_NAME:
            message = f"a name has 1 to {LONGEST_NAME} characters; * stands for any"
            self._fault(place, "invalid_value", message, value)
            return ""
        return value

    def _events(self, place: str, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
            self._fault(place, "invalid_value", "events are a list of names", value)
            return ()
        if len(value) > MOST_EVENTS:
            self._fault(place, "invalid_value", f"at most {MOST_EVENTS} events are named in a rule")
        return tuple(value)

    def _object(self, place: str, value: Any, allowed: Sequence[str]) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            self._fault(place, "invalid_value", "an object is expected", value)
            return {}
        for name in value:
            if name not in allowed:
                where = f"{place}.{name}" if place else str(name)
                self._fault(where, "unknown_field", f"{str(name)[:60]!r} is no field here", name, allowed)
        return value

    def _word(self, place: str, value: Any, allowed: Sequence[str]) -> Any:
        if not isinstance(value, str) or value not in allowed:
            code = "unknown_value" if isinstance(value, str) else "invalid_value"
            self._fault(place, code, f"one of {', '.join(allowed)} is expected", value, allowed)
            return allowed[0]
        return value

    def _fault(
        self, place: str, code: str, message: str, given: Any = None, allowed: Iterable[str] = ()
    ) -> None:
        shown = given if given is None or isinstance(given, bool | int | float) else str(given)[:_SHOWN]
        words = list(allowed)
        near = _nearest(shown, words) if isinstance(shown, str) else None
        self.faults.append(PrivacyFault(place, code, message, shown, words, near))


_SAID_ELSEWHERE: Final = {
    "delete": "drop", "remove": "drop", "encrypt": "tokenise", "tokenize": "tokenise", "token": "tokenise",
    "hmac": "hash", "redact": "mask", "hide": "mask", "allow": "keep", "none": "keep", "name": "property",
    "event": "events", "idcard": "id_card", "mobile": "phone", "card": "bank_card", "mail": "email",
    "sm": "gm", "international": "intl",
}  # fmt: skip


def _nearest(given: str, allowed: Sequence[str]) -> str | None:
    plain = given.lower().replace("-", "_")
    if (meant := _SAID_ELSEWHERE.get(plain)) in allowed:
        return cast(str, meant)
    found = get_close_matches(plain, allowed, n=1)
    return found[0] if found else None
