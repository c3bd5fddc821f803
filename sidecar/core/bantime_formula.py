"""`bantime.formula`: arithmetic that people wrote for fail2ban, in a grammar of its own.

    ban.Time * math.exp(float(ban.Count + 1) * banFactor) / math.exp(1 * banFactor)

fail2ban passes this text to `eval`. Here it is parsed into a tree, every node of the tree has to be known, and nothing
of it is ever executed. Every number is a float, so nothing grows without bounds, and what is too large is infinite.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

# fail2ban's own example has 76.
MAX_FORMULA_CHARS: Final = 300
# Counts of bans for which a formula has to have a value.
TRIED_COUNTS: Final = (0, 1, 2, 5, 10, 20, 50, 1_000, 100_000)

Names: TypeAlias = Mapping[str, float]
Part: TypeAlias = Callable[[Names], float]

VARIABLES: Final = ("ban.Time", "ban.Count", "banFactor")
FUNCTIONS: Final[Mapping[str, Callable[..., float]]] = {
    "abs": abs, "ceil": math.ceil, "exp": math.exp, "float": float, "floor": math.floor, "int": math.trunc,
    "log": math.log, "log10": math.log10, "log2": math.log2, "max": max, "min": min, "pow": math.pow,
    "round": round, "sqrt": math.sqrt,
}  # fmt: skip


def _shift_left(left: float, right: float) -> float:
    return math.ldexp(left, int(right))


def _shift_right(left: float, right: float) -> float:
    return math.floor(math.ldexp(left, -int(right)))


OPERATORS: Final[Mapping[type[ast.AST], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: math.pow,
    ast.LShift: _shift_left,
    ast.RShift: _shift_right,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that has a value for every count of bans."""

    text: str
    _value: Part = field(repr=False, compare=False)

    def __call__(self, time: float, count: int, factor: float) -> float:
        """Return seconds, for a ban time, the count of bans before, and `bantime.factor`.

        It is `math.inf` where that is too large for a number, and the ban time itself where there is no value.
        """
        try:
            value = self.value(time, count, factor)
        except (ArithmeticError, ValueError, TypeError):
            return time
        return time if math.isnan(value) else value

    def value(self, time: float, count: int, factor: float) -> float:
        """Return what a call does. Raises ArithmeticError, ValueError or TypeError where there is no value."""
        try:
            return float(self._value({"ban.Time": time, "ban.Count": float(count), "banFactor": factor}))
        except OverflowError:
            return math.inf


def parse(text: str) -> Formula:
    """Return the formula. Raises ValueError with a sentence where it is not arithmetic on the variables."""
    if len(text) > MAX_FORMULA_CHARS:
        raise ValueError(f"a formula has {MAX_FORMULA_CHARS} characters at most")
    try:
        tree = ast.parse(text.strip(), mode="eval")
        formula = Formula(text.strip(), _part(tree.body))
    except (SyntaxError, MemoryError, RecursionError):
        raise ValueError(f'"{text}" is not an arithmetic expression') from None
    for count in TRIED_COUNTS:
        try:
            has_value = not math.isnan(formula.value(600.0, count, 1.0))
        except (ArithmeticError, ValueError, TypeError):
            has_value = False
        if not has_value:
            raise ValueError(f'"{text}" has no value for ban.Time = 600 and ban.Count = {count}')
    return formula


def _part(node: ast.expr) -> Part:  # noqa: PLR0911 - one for each kind
    """Return a function of the variables' values. Raises ValueError for a node that is not known."""
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            constant = float(number)
            return lambda _: constant
        case ast.Name() | ast.Attribute() if _name(node) in VARIABLES:
            name = _name(node)
            return lambda names: names[name]
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            negated = _part(inner)
            return lambda names: -negated(names)
        case ast.UnaryOp(op=ast.UAdd(), operand=inner):
            return _part(inner)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in OPERATORS:
            return _of_two(_part(left), OPERATORS[type(sign)], _part(right))
        case ast.Compare(left=left, ops=[sign], comparators=[right]) if type(sign) in OPERATORS:
            return _of_two(_part(left), OPERATORS[type(sign)], _part(right))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            condition, then, otherwise = _part(test), _part(body), _part(orelse)
            return lambda names: then(names) if condition(names) else otherwise(names)
        case ast.Call(func=called, args=arguments, keywords=[]) if (
            _name(called).removeprefix("math.") in FUNCTIONS
        ):
            function = FUNCTIONS[_name(called).removeprefix("math.")]
            parts = [_part(argument) for argument in arguments]
            return lambda names: function(*(part(names) for part in parts))
    raise ValueError(
        f"{ast.unparse(node)} is not known in a formula. "
        f"It may have {', '.join(VARIABLES)}, numbers, + - * / // % ** << >>, comparisons, `a if b else c` and "
        f"{', '.join(FUNCTIONS)}"
    )


def _of_two(left: Part, sign: Callable[[float, float], float], right: Part) -> Part:
    return lambda names: sign(left(names), right(names))


def _name(node: ast.expr) -> str:
    """Return `ban.Time` or `banFactor`; "" for anything deeper."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id=owner), attr=name):
            return f"{owner}.{name}"
    return ""
