"""Templates with ifs, loops and filters work; those that escape, run away or are wrong get a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import BadInputError
from bot.mail.templates import Template, compile_template, mask_tags

FIELDS = ["name", "city", "tags", "price"]
ANNA = {"name": "Anna", "city": "", "tags": "a,b", "price": "1200"}


def compiled(source: str, *, html: bool = False) -> Template:
    return compile_template(source, where="text template", html=html, declared=FIELDS)


@pytest.mark.parametrize(
    "source",
    ["plain", "Hi {{ name }}", "{{ city|default('x') }}", "{{ city|d('x', true) }}", "{% raw %}{{ x }}{% endraw %}"],
)
def test_plain_fields_become_segments(source: str) -> None:
    assert compiled(source).segments is not None


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% if city %}in {{ city }}{% else %}somewhere{% endif %}", "somewhere"),
        ("{% for tag in tags.split(',') %}{{ loop.index }}:{{ tag|upper }} {% endfor %}", "1:A 2:B "),
        ("{% for i in range(3) %}{{ i }}{% endfor %}", "012"),
        ("{% set greeting = 'Hi ' ~ name %}{{ greeting }}!", "Hi Anna!"),
        ("{{ name|lower|title }} {{ price|int * 2 }} {{ price|replace('0', 'o') }}", "Anna 2400 12oo"),
        ("{{ 'rich' if price|int > 1000 else 'poor' }}", "rich"),
        ("{% if name in ['Anna', 'Bert'] %}you{% endif %}{{ tags.split(',')[-1] }}", "youb"),
        ("{% if vip is defined %}vip{% else %}no{% endif %}", "no"),
        ("{{ nick|default(name) }}{# a comment #}", "Anna"),
        ("a{#header{color:red}} b", "a{#header{color:red}} b"),
    ],
)
def test_it_does_what_people_expect_of_a_template(source: str, text: str) -> None:
    assert compiled(source).render(ANNA) == text


def test_html_escapes_in_loops_and_filters_too() -> None:
    template = compiled("{% if name %}<b>{{ name|trim }}</b>{{ name ~ '<i>' }}{% endif %}", html=True)
    assert template.render({"name": "<A&B>"}) == "<b>&lt;A&amp;B&gt;</b>&lt;A&amp;B&gt;&lt;i&gt;"


ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ name.__class__ }}",
    "{{ name['__class__'] }}",
    "{{ name|attr('__class__') }}",
    "{{ self._TemplateReference__context }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ lipsum() }}",
    "{{ namespace(a=1) }}",
    "{{ name.format(name) }}",
    "{{ '%s'|format(name) }}",
    "{% include '/etc/passwd' %}",
    "{% import 'x' as y %}",
    "{% extends 'x' %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% for a in tags.split(',') recursive %}{{ loop('a') }}{% endfor %}",
    "{% call name() %}{% endcall %}",
    "{{ [name, name] }}",
    "{{ {'a': 1} }}",
    "{{ 2 ** 999999999 }}",
    "{{ 1.5|round(999999999, 'ceil') }}",
    "{{ name|safe }}",
    "{{ name|center(999999999) }}",
    "{{ name|tojson }}",
    "{{ tags|map('upper') }}",
    "{{ caller }}",
    "{{ loop.changed(1) }}",
]


@pytest.mark.parametrize("source", ESCAPES)
def test_it_refuses_what_would_leave_the_sandbox_when_it_is_compiled(source: str) -> None:
    with pytest.raises(BadInputError, match=r"text template uses .* on line 1"):
        compiled(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'x' * 999999999 }}",
        "{{ name * 99999999999 }}",
        "{{ '%999999999d' % 1 }}",
        "{% for a in range(99999) %}x{% endfor %}",
        "{% for a in range(999) %}{% for b in range(999) %}x{% endfor %}{% endfor %}",
        "{% for a in range(999999999) %}{% endfor %}",
        "{% set a = 'x' ~ name %}" + "{% set a = a ~ a %}" * 60 + "{{ a }}",
        "{% set a = 9 %}" + "{% set a = a * a %}" * 60 + "{{ a }}",
        "{% set a = 'aaaaaaaaaa' %}" + "{% set a = a|replace('a', a) %}" * 9 + "{{ a }}",
        "{% set a = name|replace('A', tags) %}{% for i in range(9999) %}{{ name ~ tags ~ 'x'|replace('x', price) }}"
        "{{ '" + "y" * 200 + "' }}{% endfor %}",
        "{{ price.split(',')[7] }}",
        "{{ 1 / 0 }}",
    ],
)
def test_it_stops_what_runs_away_when_it_is_filled_in(source: str) -> None:
    with pytest.raises(BadInputError, match=r"text template (could not be filled in|grew)"):
        compiled(source).render(ANNA)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("one\n{{ name", "mistake on line 2"),
        ("{% if name %}", "mistake on line 1"),
        ("{{ name|nosuch }}", 'the filter "nosuch" on line 1'),
        ("{{ Name }}", r"Did you mean \{\{ name \}\}"),
        ("{{ nothing }}", "Fields there are: city, name, price, tags"),
        ("{{" + "(" * 5000 + "name" + ")" * 5000 + "}}", "nested too deeply"),
        ("{% if name %}" * 150 + "{% endif %}" * 150, "nested too deeply"),
        ("{% for a in range(2) %}" * 40 + "{% endfor %}" * 40, "nested too deeply"),
    ],
)
def test_it_says_where_a_template_is_wrong(source: str, reason: str) -> None:
    with pytest.raises(BadInputError, match=reason):
        compiled(source)


def test_a_field_missing_in_a_loop_is_named() -> None:
    with pytest.raises(BadInputError, match='needs the field "city"'):
        compiled("{% if name %}{{ city }}{% endif %}").render({"name": "Anna"})


@given(st.text(alphabet="{}%#'\"|.()[] abname_ifendor=~*\n", max_size=60))
def test_any_template_either_works_or_gets_a_sentence(source: str) -> None:
    try:
        compiled(source, html=True).render(ANNA)
    except BadInputError as error:
        sentence = str(error)
    else:
        return
    assert sentence.endswith(".")


@given(st.text(alphabet="{}%# name\n", max_size=60))
def test_masked_tags_can_be_put_back(source: str) -> None:
    masked, tags = mask_tags(source)
    for token, tag in tags.items():
        masked = masked.replace(token, tag)
    assert masked == source
