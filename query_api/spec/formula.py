"""Formulas over series: `A / B`, with + - * /, numbers and parentheses, computed exactly.

>>> evaluate(read_formula("(A - B) / A", 2), [Fraction(4), Fraction(1)])
Fraction(3, 4)
>>> evaluate(read_formula("A / B", 2), [Fraction(4), Fraction(0)]) is None
True
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NoReturn

from query_api.spec.strict import refuse

MAX_DEPTH = 30
_TOKEN = re.compile(r"\s*(?:[0-9]{1,30}(?:\.[0-9]{1,30})?|[A-Za-z]+|[-+*/()])")

Sign = Literal["+", "-", "*", "/"]
_SUMS: dict[str, Sign] = {"+": "+", "-": "-"}
_PRODUCTS: dict[str, Sign] = {"*": "*", "/": "/"}
_APPLY: dict[Sign, Callable[[Fraction, Fraction], Fraction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


@dataclass(frozen=True, slots=True)
class Operation:
    """Two formulas and what is done with them."""

    sign: Sign
    left: Formula
    right: Formula


Formula = Operation | Fraction | int
"""An operation, a number, or the index of a series."""


def read_formula(text: str, series: int) -> Formula:
    """The formula that `text` says, over series A to the `series`-th letter; refuses anything else."""
    return _Reader(text, series).read()


def evaluate(formula: Formula, values: Sequence[Fraction | None]) -> Fraction | None:
    """The formula's value; None where it divides by zero or a part of it is None."""
    if isinstance(formula, Fraction):
        return formula
    if isinstance(formula, int):
        return values[formula]
    left, right = evaluate(formula.left, values), evaluate(formula.right, values)
    if left is None or right is None or (formula.sign == "/" and right == 0):
        return None
    return _APPLY[formula.sign](left, right)


class _Reader:
    """Recursive descent: sum, product, atom."""

    def __init__(self, text: str, series: int) -> None:
        self._text = text
        self._letters = [chr(ord("A") + index) for index in range(series)]
        self._tokens = self._split(text)
        self._place = 0
        self._depth = 0

    def read(self) -> Formula:
        formula = self._sum()
        if self._place < len(self._tokens):
            self._fail(f"{self._tokens[self._place]!r} was not expected here")
        return formula

    def _split(self, text: str) -> list[str]:
        tokens, place = [], 0
        text = text.rstrip()
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None:
                self._fail(f"{text[place:].strip()[:1]!r} means nothing in a formula")
            tokens.append(found[0].strip())
            place = found.end()
        return tokens

    def _sum(self) -> Formula:
        return self._chain(_SUMS, self._product)

    def _product(self) -> Formula:
        return self._chain(_PRODUCTS, self._atom)

    def _chain(self, signs: Mapping[str, Sign], read: Callable[[], Formula]) -> Formula:
        """Operands between signs of one rank, from the left."""
        formula = read()
        while (sign := self._peek()) in signs:
            self._place += 1
            formula = Operation(signs[sign], formula, read())
        return formula

    def _atom(self) -> Formula:
        word = self._peek()
        self._place += 1
        if word == "(":
            return self._in_parentheses()
        if word == "-":
            return Operation("-", Fraction(0), self._nested(self._atom))
        if word[:1].isdigit():
            return Fraction(word)
        if word in self._letters:
            return self._letters.index(word)
        return self._fail(f"{word!r} was not expected here" if word else "it ends too early")

    def _in_parentheses(self) -> Formula:
        formula = self._nested(self._sum)
        if self._peek() != ")":
            self._fail("a parenthesis is not closed")
        self._place += 1
        return formula

    def _nested(self, read: Callable[[], Formula]) -> Formula:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"nested deeper than {MAX_DEPTH}")
        formula = read()
        self._depth -= 1
        return formula

    def _peek(self) -> str:
        """The next token, '' at the end."""
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def _fail(self, why: str) -> NoReturn:
        message = f"formula: {why}; use + - * / ( ) and the series' letters, as in A / B"
        refuse("invalid_value", message, field="formula", given=self._text, allowed=self._letters)
