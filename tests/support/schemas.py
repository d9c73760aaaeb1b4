"""The published JSON schemas beside the parsers."""

from __future__ import annotations

import re
from typing import Any

import jsonschema_rs

from socketplane.errors import SocketPlaneError
from socketplane.model import policy
from socketplane.model.schemas import KINDS, any_schema, schema

ONE = {kind: jsonschema_rs.Draft202012Validator(schema(kind)) for kind in KINDS}
ANY = jsonschema_rs.Draft202012Validator(any_schema())

BEYOND = (
    r"is less than port",
    r"start has to be less than end",
    r"has bits set behind its prefix",
    r"has to be a part of",
    r"has to be addresses in CIDR form, not the text '[^']*:[^']*'",
    r"is an IPv4 address in the form of IPv6",
    r"has more than 4096 rules",
    r"has characters that no text can hold",
    r"has to be a number from [0-9]+ to [0-9]+, not the number [0-9]+\.0$",
    r"has to be from 8kbit to 34Gbit, not ",
    r"has to be from 1kB to 1GB, not ",
    r"is more than passes in 60 s at ",
)
"""What a schema can't say, or says otherwise (80.0 is whole for it), in the parsers' words."""


def refusal(document: Any) -> str | None:
    """Return why the parser refuses a document; None where it doesn't."""
    try:
        policy.parse(document, network="web")
    except SocketPlaneError as error:
        return error.message
    return None


def judged_alike(document: Any) -> None:
    """Assert that schema and parser agree on a document, but for what no schema can say."""
    kind, reason, valid = document.get("kind"), refusal(document), ANY.is_valid(document)
    if isinstance(kind, str) and kind in ONE:
        assert ONE[kind].is_valid(document) == valid
    if reason is None:
        ANY.validate(document)
    elif valid:
        assert any(re.search(words, reason) for words in BEYOND), reason
