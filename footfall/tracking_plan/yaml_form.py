"""Plans as YAML, so that a bank keeps them in its own repository: read with the lines of what is wrong,
written so that reading and writing again gives the same bytes. Comments are not kept: a plan is values.

Of YAML only what such a file needs is read: no anchors, aliases, tags, merges or second documents, so that no
file grows in memory. Words mean what YAML 1.2 says (`off`, `no` and `on` are texts), numbers are decimal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from footfall.tracking_plan.faults import InvalidPlan, Path, PlanFault
from footfall.tracking_plan.limits import PLAN_BYTES
from footfall.tracking_plan.plan import Plan
from footfall.tracking_plan.reading import read_plan
from footfall.tracking_plan.writing import plan_as_json

_DEEPEST: Final = 20
_WIDTH: Final = 110
_INTEGER = re.compile(r"[-+]?[0-9]{1,400}\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,400}|[0-9]{1,400}(?:\.[0-9]{0,400})?)(?:[eE][-+]?[0-9]{1,4})?\Z")
_WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def read_yaml(text: bytes) -> Plan:
    """The plan that a file holds. Raises InvalidPlan, whose faults have lines."""
    if len(text) > PLAN_BYTES:
        raise InvalidPlan([PlanFault((), "invalid_value", f"a plan has at most {PLAN_BYTES} bytes", line=1)])
    reader = _Reader(text)
    value = reader.read()
    try:
        return read_plan(value)
    except InvalidPlan as error:
        raise InvalidPlan([fault.at_line(reader.line_of(fault.path)) for fault in error.faults]) from None


def write_yaml(plan: Plan) -> str:
    """The plan as a file: equal plans are equal bytes, and what is read of it is the same plan."""
    return yaml.dump(
        plan_as_json(plan),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=_WIDTH,
        default_flow_style=False,
    )


class _Dumper(yaml.SafeDumper):
    """Lists are indented below what they belong to, and never become anchors."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Quoted where it would be read as something else: by us, or (the dumper sees to it) by YAML 1.1."""
    style = None if isinstance(_meaning(text), str) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _write_text)


class _Reader:
    """From the events of a parser to values and the lines of their names; nothing is built by tags."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._lines: dict[Path, int] = {}

    def read(self) -> Any:
        try:
            events = self._events()
            value = self._value(next(events), events, (), 0)
            for event in events:
                if isinstance(event, yaml.DocumentStartEvent):
                    raise _refused(event, "one document is enough")
        except UnicodeDecodeError as error:
            line = self._text.count(b"\n", 0, error.start) + 1
            raise InvalidPlan([PlanFault((), "invalid_value", "the file is not UTF-8", line=line)]) from None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark is not None else 1
            message = f"no YAML: {error.problem or error.context}"
            raise InvalidPlan([PlanFault((), "invalid_value", message, line=line)]) from None
        except yaml.YAMLError as error:
            message = f"no YAML: {error}".partition("\n")[0]
            raise InvalidPlan([PlanFault((), "invalid_value", message, line=1)]) from None
        return value

    def line_of(self, path: Path) -> int:
        """The line of the nearest thing on the way to `path` that is there."""
        while path not in self._lines and path:
            path = path[:-1]
        return self._lines.get(path, 1)

    def _events(self) -> Iterator[Any]:
        """The events of the first document on, without those that begin and end it."""
        skipped = (yaml.StreamStartEvent, yaml.DocumentEndEvent, yaml.StreamEndEvent)
        parsed = yaml.parse(self._text.decode(), Loader=yaml.SafeLoader)
        first = True
        for event in parsed:
            if isinstance(event, yaml.DocumentStartEvent) and first:
                first = False
            elif not isinstance(event, skipped):
                yield event
        if first:
            raise InvalidPlan([PlanFault((), "invalid_value", "the file is empty", line=1)])

    def _value(self, event: Any, events: Iterator[Any], path: Path, depth: int) -> Any:
        self._lines.setdefault(path, event.start_mark.line + 1)
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _refused(event, "anchors and aliases are not read: write it out")
        if event.tag is not None and event.tag != "!":
            raise _refused(event, f"tags such as {event.tag} are not read: leave it out")
        if depth > _DEEPEST:
            raise _refused(event, f"nested deeper than {_DEEPEST}")
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(events, path, depth)
        return self._mapping(events, path, depth)

    def _list(self, events: Iterator[Any], path: Path, depth: int) -> list[Any]:
        found: list[Any] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            found.append(self._value(event, events, (*path, str(len(found))), depth + 1))
        return found

    def _mapping(self, events: Iterator[Any], path: Path, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            if not isinstance(event, yaml.ScalarEvent):
                raise _refused(event, "a name is a text")
            name = self._value(event, events, (*path, event.value), depth)
            if name == "<<" and event.style is None:
                raise _refused(event, "merges are not read: write it out")
            if name in found:
                raise _refused(event, f"{str(name)[:100]!r} is there twice")
            found[name] = self._value(next(events), events, (*path, event.value), depth + 1)
        return found


def _scalar(event: yaml.ScalarEvent) -> Any:
    return _meaning(event.value) if event.style is None else event.value


def _meaning(text: str) -> Any:
    """What a text without quotes means."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.match(text):
        return int(text)
    return float(text) if _FLOAT.match(text) else text


def _refused(event: Any, message: str) -> InvalidPlan:
    return InvalidPlan([PlanFault((), "invalid_value", message, line=event.start_mark.line + 1)])
