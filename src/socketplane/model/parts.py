"""Parts that documents of several kinds share: label selectors, addresses in CIDR form, ports."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from socketplane.errors import InvalidInput, Unsupported
from socketplane.model.fields import Fields, choice, kind_of, number, text, texts
from socketplane.model.spec import Cidr, Operator, Requirement, Selector

MAX_PORT = 65535
_CIDR = re.compile(r"[0-9a-fA-F.:]+/(0|[1-9][0-9]{0,2})")
_OPERATORS = tuple(str(operator) for operator in Operator)
_OPERATORS_ELSEWHERE = {
    **dict.fromkeys(("=", "==", "equals", "eq"), "In"),
    **dict.fromkeys(("!=", "notequals", "ne", "not in"), "NotIn"),
    **dict.fromkeys(("!", "notexists", "notexist", "doesn'texist", "absent"), "DoesNotExist"),
}


def selector(value: object, path: str) -> Selector:
    """Return a label selector; an empty one selects all."""
    fields = Fields(value, path)
    labels = texts(fields.take("matchLabels"), fields.at("matchLabels"))
    expressions = [_requirement(item, at) for item, at in fields.items("matchExpressions") or ()]
    fields.finish()
    if "" in labels:
        raise InvalidInput("a label's key can't be empty", field=fields.at("matchLabels"))
    return Selector.of(labels, expressions)


def optional_selector(value: object, path: str) -> Selector | None:
    """Return a label selector; None where there is none."""
    return None if value is None else selector(value, path)


def _requirement(value: object, path: str) -> Requirement:
    fields = Fields(value, path)
    key = text(fields.required("key", "name the label"), fields.at("key"))
    given = fields.required("operator", f"write one of {', '.join(_OPERATORS)}")
    operator = Operator(choice(given, fields.at("operator"), "operator", _OPERATORS, _OPERATORS_ELSEWHERE))
    values = [text(item, at) for item, at in fields.items("values") or ()]
    fields.finish()
    if not key:
        raise InvalidInput("a label's key can't be empty", field=fields.at("key"))
    if operator in (Operator.IN, Operator.NOT_IN):
        if not values:
            remedy = "write them, or use Exists or DoesNotExist"
            raise InvalidInput(f"{operator} needs at least one value", field=fields.at("values"), remedy=remedy)
    elif values:
        remedy = "remove them, or use In or NotIn"
        raise InvalidInput(f"{operator} has no values", field=fields.at("values"), remedy=remedy)
    return Requirement(key, operator, tuple(sorted(set(values))))


def cidr(value: object, path: str) -> Cidr:
    """Return a network of addresses. Only the usual form is taken; bits behind the prefix have to be zero."""
    given = text(value, path, what="addresses in CIDR form (10.0.0.0/8)")
    if _is_address(given):
        bits = 128 if ":" in given else 32
        raise InvalidInput("has no prefix length", field=path, remedy=f"for this one address write {given}/{bits}")
    try:
        found = ip_network(given, strict=False) if _CIDR.fullmatch(given) else None
    except ValueError:
        found = None
    if found is None:
        remedy = "write an address, / and the prefix length: 192.0.2.0/24"
        raise InvalidInput(f"has to be addresses in CIDR form, not {kind_of(given)}", field=path, remedy=remedy)
    if str(found.network_address) != str(ip_address(given.partition("/")[0])):
        remedy = f"write {found} if that is meant"
        raise InvalidInput("has bits set behind its prefix", field=path, remedy=remedy)
    if isinstance(found, IPv6Network) and found.network_address.ipv4_mapped is not None and found.prefixlen >= 96:
        plain = IPv4Network((found.network_address.ipv4_mapped, found.prefixlen - 96))
        raise InvalidInput("is an IPv4 address in the form of IPv6", field=path, remedy=f"write {plain}")
    return found


def _is_address(given: str) -> bool:
    try:
        return bool(ip_address(given)) and "%" not in given
    except ValueError:
        return False


def port(value: object, path: str) -> int:
    """Return a port's number. Names of ports are refused: nothing in Docker gives ports names."""
    if isinstance(value, str):
        if value.isascii() and value.isdecimal():
            raise InvalidInput("is text", field=path, remedy=f"write the number without quotes: {value[:20]}")
        message = "Docker's images do not name ports, so a name can't be resolved"
        raise Unsupported(message, field=path, remedy="write the number")
    return number(value, path, 1, MAX_PORT)
