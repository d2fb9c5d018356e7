"""Templates written by people, filled in for each recipient: Jinja2, in a sandbox that cannot run away.

A template of plain fields, `{{ name }}` or `{{ name|default("friend") }}`, becomes a list of segments that
costs next to nothing to fill in. Anything more is rendered by Jinja2 for each recipient, within bounds: only
the constructs listed here are allowed, loops share a budget of rounds, and the result has a largest size.
What is not listed is refused when the message is compiled, so the sandbox is the second wall, not the first.
"""

import difflib
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any, Final

import jinja2
from jinja2 import meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bot.errors import BadInputError
from bot.mail.addresses import shown

MOST_TEMPLATE_CHARS: Final = 1_000_000
MOST_OUTPUT_CHARS: Final = 1_000_000
MOST_VALUE_CHARS: Final = 100_000
MOST_LOOP_ROUNDS: Final = 10_000
LONGEST_RENDER: Final = timedelta(seconds=2)
_BIGGEST_NUMBER: Final = 10**15

escape: Final[Callable[[str], str]] = FILTERS["escape"]

_BUDGET: Final = " budget"  # not an identifier, so that no template and no column can name it
_FILTERS: Final = frozenset(
    {"default", "d", "escape", "e", "upper", "lower", "title", "capitalize", "trim", "length", "count", "int"}
    | {"float", "round", "abs", "truncate", "urlencode", "replace", "first", "last", "wordcount"}
)
_METHODS: Final = frozenset(
    {"split", "strip", "lstrip", "rstrip", "lower", "upper", "title", "capitalize", "startswith", "endswith"}
)
_LOOP: Final = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length"})
_TESTS: Final = frozenset(
    {"defined", "undefined", "none", "string", "number", "even", "odd", "divisibleby", "lower", "upper", "in"}
    | {"eq", "ne", "lt", "le", "gt", "ge", "equalto", "==", "!=", "<", "<=", ">", ">="}
)
_PLAIN_NODES: Final = (
    *(nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.If, nodes.For, nodes.Assign),
    *(nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not),
    *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos),
    *(nodes.Concat, nodes.Slice, nodes.Keyword),
)
_RENDER_ERRORS: Final = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    RecursionError,
)


@dataclass(frozen=True, slots=True)
class Hole:
    """A place for one field. `default` stands in for a missing field, and with `or_empty` for an empty one."""

    name: str
    default: str | None = None
    or_empty: bool = False

    def value(self, fields: Mapping[str, str], where: str) -> str:
        """The recipient's own value; BadInputError when there is none and no default."""
        value = fields.get(self.name, self.default)
        if value is None:
            raise _missing(self.name, where)
        if self.or_empty and not value and self.default is not None:
            return self.default
        return value


@dataclass(slots=True)
class _Budget:
    """What one recipient's rendering may use. The deadline only bounds what the other limits leave possible."""

    rounds: int = MOST_LOOP_ROUNDS
    deadline: float = field(default_factory=lambda: time.monotonic() + LONGEST_RENDER.total_seconds())

    def spend(self) -> None:
        self.rounds -= 1
        if self.rounds < 0:
            raise SecurityError(f"its loops make more than {MOST_LOOP_ROUNDS:,} rounds")
        if time.monotonic() > self.deadline:
            raise SecurityError(f"it takes more than {LONGEST_RENDER.total_seconds():.0f} seconds")


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template. `where` names it in sentences ("HTML template"); `fields` are all that it uses."""

    where: str
    html: bool
    fields: frozenset[str]
    segments: tuple[str | Hole, ...] | None
    """What a template of plain fields consists of; None: Jinja2 renders it."""
    _rich: jinja2.Template | None = field(repr=False, default=None)
    _pattern: str = field(init=False, repr=False)
    _holes: tuple[Hole, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """The segments once more as a pattern for `%` and what fills it: the quickest way that Python has."""
        parts = self.segments or ()
        pattern = "".join("%s" if isinstance(part, Hole) else part.replace("%", "%%") for part in parts)
        object.__setattr__(self, "_pattern", pattern)
        object.__setattr__(self, "_holes", tuple(part for part in parts if isinstance(part, Hole)))

    def render(self, fields: Mapping[str, str]) -> str:
        """The text for one recipient; BadInputError names the field or the construct that failed."""
        if self.segments is not None:
            values = [fields.get(hole.name) or hole.value(fields, self.where) for hole in self._holes]
            return self._pattern % tuple(map(escape, values) if self.html else values)
        try:
            return self._render_rich(fields)
        except jinja2.UndefinedError as error:
            name = re.match(r"'(\w+)' is undefined", str(error))
            if name:
                raise _missing(name[1], self.where) from error
            raise self._failed(error) from error
        except _RENDER_ERRORS as error:
            raise self._failed(error) from error

    def _render_rich(self, fields: Mapping[str, str]) -> str:
        assert self._rich is not None  # noqa: S101  # one of the two forms always exists
        chunks: list[str] = []
        size = 0
        for chunk in self._rich.generate({**fields, _BUDGET: _Budget()}):
            size += len(chunk)
            if size > MOST_OUTPUT_CHARS:
                raise BadInputError(
                    f"The {self.where} grew beyond {MOST_OUTPUT_CHARS:,} characters for this recipient. "
                    "Shorten its loops."
                )
            chunks.append(chunk)
        return "".join(chunks)

    def _failed(self, error: Exception) -> BadInputError:
        return BadInputError(
            f"The {self.where} could not be filled in: {shown(str(error), 200).rstrip('.')}. "
            "Change the template, or the fields of this recipient."
        )


def _missing(name: str, where: str) -> BadInputError:
    return BadInputError(
        f'The {where} needs the field "{shown(name)}", which this recipient does not have. '
        f'Add that column to the file, or write {{{{ {shown(name)}|default("...") }}}}.'
    )


def compile_template(source: str, *, where: str, html: bool, declared: Collection[str]) -> Template:
    """Check and compile a template that may use the `declared` fields.

    BadInputError, with the line, for a syntax error, a field that is not declared (unless it has a default
    or is asked for with `is defined`), or a construct that templates may not use.
    """
    if len(source) > MOST_TEMPLATE_CHARS:
        raise BadInputError(f"The {where} is longer than {MOST_TEMPLATE_CHARS:,} characters. Shorten it.")
    environment = _environment(html=html)
    try:
        tree = environment.parse(source)
        _check_allowed(tree, where)
        names = meta.find_undeclared_variables(tree) - {"range"}
        _check_declared(tree, names, declared, where)
        segments = _segments(tree)
        rich = None if segments is not None else _compile_rich(environment, tree)
    except jinja2.TemplateSyntaxError as error:
        raise BadInputError(
            f"The {where} has a mistake on line {error.lineno}: {shown(error.message or '', 200).rstrip('.')}. "
            "Correct it and try again."
        ) from error
    except (RecursionError, SyntaxError) as error:
        raise BadInputError(f"The {where} is nested too deeply. Make it simpler and try again.") from error
    return Template(where, html, frozenset(names), segments, rich)


def is_template(source: str) -> bool:
    """Whether the source has no mistake of syntax."""
    try:
        _environment(html=False).parse(source)
    except jinja2.TemplateSyntaxError:
        return False
    return True


def mask_tags(source: str) -> tuple[str, dict[str, str]]:
    """The template with each of its tags replaced by one private character run, and what each stands for.

    For tools that read the HTML around the tags and must not look into them. A source with a mistake of
    syntax comes back as it is.
    """
    tags: dict[str, str] = {}
    masked: list[str] = []
    inside: list[str] = []
    if not is_template(source):
        return source, tags
    for _, kind, text in _environment(html=False).lex(source):
        if kind == "data" and not inside:
            masked.append(text)
            continue
        inside.append(text)
        if kind in {"variable_end", "block_end", "comment_end", "raw_end"}:
            token = f"\ue000{len(tags)}\ue001"
            tags[token] = "".join(inside)
            masked.append(token)
            inside = []
    return "".join(masked + inside), tags


class _Sandbox(ImmutableSandboxedEnvironment):
    """Arithmetic is for numbers of a sane size: a string times a billion is one way to stop a sender."""

    intercepted_binops = frozenset({"*", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        for side in (left, right):
            if not isinstance(side, int | float) or abs(side) > _BIGGEST_NUMBER:
                raise SecurityError(f"'{operator}' works on numbers up to {_BIGGEST_NUMBER:,} only")
        return super().call_binop(context, operator, left, right)


@cache
def _environment(*, html: bool) -> _Sandbox:
    environment = _Sandbox(
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        # With its space: minified CSS is full of "{#id", which is no comment.
        comment_start_string="{# ",
        comment_end_string=" #}",
    )
    environment.globals = {"range": environment.globals["range"]}
    environment.filters["replace"] = _replace
    environment.filters["limit_rounds"] = _limit_rounds
    environment.filters["limit_size"] = _limit_size
    return environment


@jinja2.pass_context
def _limit_rounds(context: Context, items: Iterable[Any]) -> Iterator[Any]:
    budget: _Budget = context[_BUDGET]
    for item in items:
        budget.spend()
        yield item


@jinja2.pass_context  # with a context it is never run at compile time
def _limit_size(_context: Context, value: Any) -> Any:
    if isinstance(value, str | list) and len(value) > MOST_VALUE_CHARS:
        raise SecurityError(f"a value is longer than {MOST_VALUE_CHARS:,} characters")
    return value


@jinja2.pass_eval_context
def _replace(eval_ctx: nodes.EvalContext, text: str, old: str, new: str, count: int | None = None) -> str:
    if len(text) + str(text).count(str(old)) * len(new) > MOST_VALUE_CHARS:
        raise SecurityError(f"'replace' would make more than {MOST_VALUE_CHARS:,} characters")
    replaced: str = FILTERS["replace"](eval_ctx, text, old, new, count)
    return replaced


def _compile_rich(environment: _Sandbox, tree: nodes.Template) -> jinja2.Template:
    for loop in tree.find_all(nodes.For):
        loop.iter = _filtered(loop.iter, "limit_rounds")
    for assignment in tree.find_all(nodes.Assign):
        assignment.node = _filtered(assignment.node, "limit_size")
    tree.set_environment(environment)
    code = environment.compile(tree, filename="<template>")
    return environment.template_class.from_code(environment, code, environment.make_globals(None))


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _segments(tree: nodes.Template) -> tuple[str | Hole, ...] | None:
    """The template as text and holes, or None when it uses more than plain fields."""
    segments: list[str | Hole] = []
    for statement in tree.body:
        if not isinstance(statement, nodes.Output):
            return None
        for node in statement.nodes:
            part = node.data if isinstance(node, nodes.TemplateData) else _hole(node)
            if part is None:
                return None
            segments.append(part)
    return tuple(segments)


def _hole(node: nodes.Expr) -> Hole | None:
    if isinstance(node, nodes.Name):
        return Hole(node.name)
    if not isinstance(node, nodes.Filter) or node.name not in {"default", "d"} or node.kwargs:
        return None
    values = [argument.value if isinstance(argument, nodes.Const) else None for argument in node.args]
    if not isinstance(node.node, nodes.Name) or not values or not isinstance(values[0], str):
        return None
    or_empty = values[1] if len(values) > 1 else False
    return Hole(node.node.name, values[0], or_empty) if isinstance(or_empty, bool) else None


def _check_declared(tree: nodes.Template, names: Collection[str], declared: Collection[str], where: str) -> None:
    guarded = {id(node.node) for node in tree.find_all(nodes.Filter) if node.name in {"default", "d"}}
    asked = {
        node.node.name
        for node in tree.find_all(nodes.Test)
        if node.name in {"defined", "undefined"} and isinstance(node.node, nodes.Name)
    }
    known = set(declared)
    for node in tree.find_all(nodes.Name):
        if node.name in names and node.name not in known | asked and id(node) not in guarded:
            raise _undeclared(node, known, where)


def _undeclared(node: nodes.Name, known: set[str], where: str) -> BadInputError:
    near = difflib.get_close_matches(node.name.lower(), [name.lower() for name in known], n=1, cutoff=0.7)
    meant = [name for name in sorted(known) if name.lower() in near]
    advice = f" Did you mean {{{{ {meant[0]} }}}}?" if meant else ""
    listed = ", ".join(shown(name) for name in sorted(known)[:20]) or "none"
    return BadInputError(
        f'The {where} uses the field "{shown(node.name)}" on line {node.lineno}, which the recipients do not '
        f"have.{advice} Fields there are: {listed}. Correct the template, add the column, "
        f'or write {{{{ {shown(node.name)}|default("...") }}}}.'
    )


def _check_allowed(tree: nodes.Template, where: str) -> None:
    for node in tree.iter_child_nodes():
        _check_node(node, where)


def _check_node(node: nodes.Node, where: str) -> None:
    refused = _refusal(node)
    if refused is not None:
        raise BadInputError(
            f"The {where} uses {refused} on line {node.lineno}, which templates may not do: they can fill in "
            "fields, use if, for and set, and the common filters. Take it out and try again."
        )
    for child in node.iter_child_nodes():
        _check_node(child, where)


def _refusal(node: nodes.Node) -> str | None:
    """What is not allowed about this one node, or None."""
    match node:
        case nodes.For(recursive=True):
            return "a recursive loop"
        case nodes.Filter():
            return _filter_refusal(node)
        case nodes.Test():
            return None if node.name in _TESTS else f'the test "{shown(node.name)}"'
        case nodes.Call(node=nodes.Name(name="range")):
            return None
        case nodes.Call(node=nodes.Getattr(attr=attr)):
            return None if attr in _METHODS else f'the call of "{shown(attr)}"'
        case nodes.Getattr(node=nodes.Name(name="loop"), attr=attr) if attr in _LOOP:
            return None
        case nodes.Getattr(attr=attr):
            # A method reached here is being called, or prints itself, which harms nobody.
            return None if attr in _METHODS else f'".{shown(attr)}"'
        case nodes.Getitem():
            return None if _is_position(node.arg) else "an index that is not a number"
        case nodes.List() | nodes.Tuple():
            constant = all(isinstance(item, nodes.Const) for item in node.items)
            target = isinstance(node, nodes.Tuple) and node.ctx == "store"
            return None if constant or target else "a list of something else than constants"
        case _:
            return None if isinstance(node, _PLAIN_NODES) else f'"{type(node).__name__.lower()}"'


def _filter_refusal(node: nodes.Filter) -> str | None:
    if node.name not in _FILTERS:
        return f'the filter "{shown(node.name)}"'
    if node.name == "round" and (node.kwargs or len(node.args) > 1 or not all(map(_is_position, node.args))):
        return 'the filter "round" with more than a number of digits'
    return None


def _is_position(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Neg):
        node = node.node
    if isinstance(node, nodes.Slice):
        return all(part is None or _is_position(part) for part in (node.start, node.stop, node.step))
    return isinstance(node, nodes.Const) and isinstance(node.value, int) and abs(node.value) <= MOST_VALUE_CHARS
