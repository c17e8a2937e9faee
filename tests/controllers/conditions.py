"""
The part of Argo's condition language (expr-lang) that templates for web metrics use.

A condition is checked before it runs, as the real one is: the type of ``result`` is known when the condition
is compiled, so a number compared with a text is an error, while a member of an object is unknown until it is
looked at. Literals, members, ``[i]``, ``! && || == != < <= > >=``, ``and or not``, arithmetic-free, and the
functions ``asInt asFloat isNaN isInf isNil default len all any``.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable
from typing import Any, Final

Node = tuple[Any, ...]


class ConditionError(Exception):
    """The condition does not compile, does not run, or does not yield a bool."""


TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<sign>&&|\|\||==|!=|<=|>=|[<>!().,\[\]{}#-]))"
)
WORDS: Final = {"and": "&&", "or": "||", "not": "!"}
LITERALS: Final[dict[str, Any]] = {"true": True, "false": False, "nil": None}
ORDERED: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
FUNCTIONS: Final[dict[str, str | None]] = {
    "asInt": "int",
    "asFloat": "float64",
    "isNaN": "bool",
    "isInf": "bool",
    "isNil": "bool",
    "default": None,
    "len": "int",
    "all": "bool",
    "any": "bool",
}
UNKNOWN = None
NUMBERS: Final = frozenset({"int", "float64"})


def go_type(value: Any) -> str:
    """Return the name that Go gives to the type of a decoded JSON value."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float64"
    if isinstance(value, str):
        return "string"
    return "[]interface {}" if isinstance(value, list) else "map[string]interface {}"


class _Parser:
    """Recursive descent over the tokens of one condition; ``parse`` returns the tree."""

    def __init__(self, source: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        position, source = 0, source.strip()
        while position < len(source):
            match = TOKEN.match(source, position)
            if match is None:
                raise ConditionError(f"unrecognized character: {source[position]!r}")
            kind = match.lastgroup or ""
            text = match.group(kind)
            if kind == "name" and text in WORDS:
                kind, text = "sign", WORDS[text]
            self.tokens.append((kind, text))
            position = match.end()

    def _peek(self) -> tuple[str, str]:
        return self.tokens[0] if self.tokens else ("end", "")

    def _take(self, sign: str) -> bool:
        if self._peek() == ("sign", sign):
            self.tokens.pop(0)
            return True
        return False

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise ConditionError(f"unexpected token {self._peek()[1]!r}, expected {sign!r}")

    def parse(self) -> Node:
        tree = self._either()
        if self.tokens:
            raise ConditionError(f"unexpected token {self._peek()[1]!r}")
        return tree

    def _either(self) -> Node:
        left = self._both()
        while self._take("||"):
            left = ("||", left, self._both())
        return left

    def _both(self) -> Node:
        left = self._comparison()
        while self._take("&&"):
            left = ("&&", left, self._comparison())
        return left

    def _comparison(self) -> Node:
        left = self._unary()
        for sign in ("==", "!=", "<=", ">=", "<", ">"):
            if self._take(sign):
                return (sign, left, self._unary())
        return left

    def _unary(self) -> Node:
        if self._take("!"):
            return ("!", self._unary())
        if self._take("-"):
            tree = self._unary()
            if tree[0] != "literal" or go_type(tree[1]) not in NUMBERS:
                raise ConditionError("only numbers can be negated")
            return ("literal", -tree[1])
        return self._postfix(self._primary())

    def _postfix(self, tree: Node) -> Node:
        while True:
            if self._take("."):
                kind, name = self._peek()
                if kind != "name":
                    raise ConditionError(f"unexpected token {name!r}, expected a name")
                self.tokens.pop(0)
                tree = ("member", tree, ("literal", name))
            elif self._take("["):
                tree = ("member", tree, self._either())
                self._need("]")
            else:
                return tree

    def _primary(self) -> Node:
        if self._take("("):
            tree = self._either()
            self._need(")")
            return tree
        if self._take("#"):
            return ("element",)
        kind, text = self._peek()
        if kind not in ("number", "text", "name"):
            raise ConditionError(f"unexpected token {text!r}")
        self.tokens.pop(0)
        if kind == "number":
            return ("literal", float(text) if "." in text else int(text))
        if kind == "text":
            return ("literal", json.loads(f'"{text[1:-1]}"'))
        if text in LITERALS:
            return ("literal", LITERALS[text])
        if text == "result":
            return ("result",)
        if text not in FUNCTIONS:
            raise ConditionError(f"unknown name {text}")
        return self._function(text)

    def _function(self, name: str) -> Node:
        self._need("(")
        arguments: list[Node] = []
        while not self._take(")"):
            if self._take("{"):
                arguments.append(self._either())
                self._need("}")
            else:
                arguments.append(self._either())
            self._take(",")
        return ("function", name, *arguments)


def _check(tree: Node, result: Any) -> str | None:
    """Return the Go type of *tree* as far as it is known before it runs; raise where types cannot meet."""
    kind = tree[0]
    if kind == "literal":
        return go_type(tree[1])
    if kind == "result":
        return go_type(result)
    if kind == "element":
        return UNKNOWN
    if kind == "member":
        holder = _check(tree[1], result)
        _check(tree[2], result)
        if holder not in (UNKNOWN, "map[string]interface {}", "[]interface {}"):
            raise ConditionError(f"type {holder} has no field {tree[2][-1]}")
        return UNKNOWN
    if kind == "function":
        for argument in tree[2:]:
            _check(argument, result)
        return FUNCTIONS[tree[1]]
    types = [_check(part, result) for part in tree[1:]]
    if kind in ("&&", "||", "!"):
        for known in types:
            if known not in (UNKNOWN, "bool"):
                raise ConditionError(f"invalid operation: {kind} (mismatched types {known} and bool)")
        return "bool"
    _check_pair(kind, types[0], types[1])
    return "bool"


def _check_pair(sign: str, left: str | None, right: str | None) -> None:
    if UNKNOWN in (left, right) or left == right or {left, right} <= NUMBERS:
        return
    if sign in ("==", "!=") and "nil" in (left, right):
        return
    raise ConditionError(f"invalid operation: {sign} (mismatched types {left} and {right})")


def _number(value: Any, wanted: Callable[[Any], Any]) -> Any:
    try:
        return wanted(value)
    except (TypeError, ValueError) as error:
        raise ConditionError(f"cannot convert {value!r}") from error


def _function(tree: Node, result: Any, element: Any) -> Any:
    name, arguments = tree[1], tree[2:]
    # These two ignore their first argument and look at the whole result.
    if name == "isNil":
        return result is None
    if name == "default":
        return _run(arguments[1], result, element) if result is None else result
    first = _run(arguments[0], result, element)
    if name in ("all", "any"):
        if not isinstance(first, list):
            raise ConditionError(f"builtin {name} takes only array (got {go_type(first)})")
        judged = (_run(arguments[1], result, item) for item in first)
        return all(judged) if name == "all" else any(judged)
    if name == "len":
        if not isinstance(first, list | str | dict):
            raise ConditionError(f"invalid argument for len (type {go_type(first)})")
        return len(first)
    if name == "isNaN":
        return isinstance(first, float) and math.isnan(first)
    if name == "isInf":
        return isinstance(first, float) and math.isinf(first)
    return _number(first, float if name == "asFloat" else int)


def _member(holder: Any, key: Any) -> Any:
    if isinstance(holder, dict):
        return holder.get(key)
    if isinstance(holder, list) and isinstance(key, int):
        if not -len(holder) <= key < len(holder):
            raise ConditionError(f"index out of range: {key} (array length is {len(holder)})")
        return holder[key]
    raise ConditionError(f"cannot fetch {key} from {go_type(holder)}")


def _run(tree: Node, result: Any, element: Any = None) -> Any:
    kind = tree[0]
    if kind == "literal":
        return tree[1]
    if kind == "result":
        return result
    if kind == "element":
        return element
    if kind == "function":
        return _function(tree, result, element)
    left = _run(tree[1], result, element)
    if kind == "!":
        return not left
    if kind == "&&":
        return left and _run(tree[2], result, element)
    if kind == "||":
        return left or _run(tree[2], result, element)
    right = _run(tree[2], result, element)
    if kind == "member":
        return _member(left, right)
    if kind in ("==", "!="):
        same = left == right and isinstance(left, bool) == isinstance(right, bool)
        return same if kind == "==" else not same
    if {go_type(left), go_type(right)} <= NUMBERS or (isinstance(left, str) and isinstance(right, str)):
        return ORDERED[kind](left, right)
    raise ConditionError(f"invalid operation: {go_type(left)} {kind} {go_type(right)}")


def holds(condition: str, result: Any) -> bool:
    """
    Return whether *condition* is true of *result*, a decoded JSON value with every number a float.

    Raises ConditionError where the real controller would record an Error.
    """
    tree = _Parser(condition).parse()
    _check(tree, result)
    value = _run(tree, result)
    if not isinstance(value, bool):
        raise ConditionError(f"expected bool, but got {go_type(value)}")
    return value
