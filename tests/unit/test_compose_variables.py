"""Variables of Compose files, and the file .env that has them."""

from __future__ import annotations

import pytest

from socketplane.errors import InvalidInput
from socketplane.model.compose import parse_env
from socketplane.model.compose.substitute import MAX_LENGTH, Variables

VALUES = {"SET": "value", "EMPTY": "", "OTHER": "other"}


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("plain", "plain"),
        ("$SET", "value"),
        ("${SET}", "value"),
        ("a${SET}b$OTHER-c", "avaluebother-c"),
        ("$$SET $${SET} $$$SET", "$SET ${SET} $value"),
        ("5$ and $1 and $-", "5$ and $1 and $-"),
        ("${SET:-x}", "value"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${UNSET-x}", "x"),
        ("${UNSET:-}", ""),
        ("${SET:+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${EMPTY+x}", "x"),
        ("${UNSET+x}", ""),
        ("${SET:?no}${EMPTY?no}", "value"),
        ("${UNSET:-${EMPTY:-${OTHER}}}!", "other!"),
        ("${UNSET:-a:b-c?d}", "a:b-c?d"),
        ("${UNSET:-$$}", "$"),
        ("${UNSET:-{}}", "{}"),
        ("$UNSET|${UNSET}", "|"),
    ],
)
def test_what_a_text_becomes(text: str, becomes: str) -> None:
    assert Variables(VALUES).text(text, "field") == becomes


def test_what_was_asked_for_in_vain_is_known() -> None:
    variables = Variables(VALUES)
    variables.within({"$KEY": ["$A", {"b": "${B}${C:-c}"}, 3, None]}, "field")
    assert variables.unset == {"A", "B"}
    assert variables.within({"$SET": "$SET"}, "field") == {"$SET": "value"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${", "a variable's brace is not closed"),
        ("${SET", "a variable's brace is not closed"),
        ("${UNSET:-${SET}", "is not closed"),
        ("${}", "${} is no variable; write ${NAME}"),
        ("${SET/a/b}", "${SET/a/b} is no variable"),
        ("${1A}", "is no variable"),
        ("${UNSET?}", "field[1].a: the variable UNSET has to be set; set it in the environment"),
        ("${EMPTY:?say $OTHER}", "the variable EMPTY has to be set: say other"),
        ("${A:-" * 20 + "}" * 20, "nested more than 10 deep"),
    ],
)
def test_what_is_no_variable_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Variables(VALUES).within([0, {"a": text}], "field")
    assert message in str(caught.value)


def test_texts_can_not_grow_without_bound() -> None:
    variables = Variables({"A": "x" * (1 << 20)})
    with pytest.raises(InvalidInput, match="longer than 4 MiB"):
        variables.within(["$A"] * (MAX_LENGTH // (1 << 20) + 1), "field")


ENV = r"""
# a comment
PLAIN=value
  export EXPORTED = spaced value   # comment
HASH=a#b
SINGLE='as it is: $PLAIN \n' # comment
DOUBLE="two\nlines and ${PLAIN} and \$PLAIN and \"quotes\""
COLON: yaml like
EMPTY=
QUOTED_EMPTY=""
USES=${PLAIN}-$FROM_ENVIRONMENT
OVER=${OVER}
MANY="first
second"
FROM_ENVIRONMENT
NEITHER
LAST=end"""


def test_the_file_env() -> None:
    found = parse_env(ENV.replace("COLON", "COLON"), ".env", {"FROM_ENVIRONMENT": "given", "OVER": "outer"})
    assert found == {
        "PLAIN": "value",
        "EXPORTED": "spaced value",
        "HASH": "a#b",
        "SINGLE": r"as it is: $PLAIN \n",
        "DOUBLE": 'two\nlines and value and $PLAIN and "quotes"',
        "COLON": "yaml like",
        "EMPTY": "",
        "QUOTED_EMPTY": "",
        "USES": "value-given",
        "OVER": "outer",
        "MANY": "first\nsecond",
        "FROM_ENVIRONMENT": "given",
        "LAST": "end",
    }
    assert parse_env(b"\xef\xbb\xbfA=1\r\nB='2'\r\n", ".env", {}) == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\n=2", ".env, line 2: is no assignment; write NAME=value"),
        ("A='x", ".env, line 1: a quote is not closed"),
        ("A='x' y", ".env, line 1: something follows the value of A"),
        ("\nA B", ".env, line 2: something follows the value of A"),
        ("A=${B:?gone}", ".env, line 1: the variable B has to be set: gone; set it in"),
        (b"\xff", ".env: is not UTF-8 text"),
    ],
)
def test_a_bad_env_file(text: str | bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_env(text, ".env", {})
    assert message in str(caught.value)
