"""By what names a container is found on its networks."""

from __future__ import annotations

from collections.abc import Iterator

from socketplane.model.types import Endpoint

LABEL_SERVICE = "com.docker.compose.service"
_LABEL_LENGTH = 63
_NAME_LENGTH = 180
"""So that NAME.NETWORK is a name, too."""
SHORT_ID = 12


def names_of(endpoint: Endpoint) -> tuple[str, ...]:
    """Return its names, lower case, once each: its own first, aliases, its Compose service, its id's first digits.

    What can't be a name in DNS is left out.
    """
    return tuple(dict.fromkeys(name.lower() for name in _candidates(endpoint) if _is_name(name)))


def _candidates(endpoint: Endpoint) -> Iterator[str]:
    yield endpoint.name
    yield from endpoint.aliases
    yield endpoint.labels.get(LABEL_SERVICE, "")
    yield endpoint.container[:SHORT_ID]


def _is_name(text: str) -> bool:
    labels = text.split(".")
    return (
        len(text) <= _NAME_LENGTH
        and text.isascii()
        and text.isprintable()
        and all(0 < len(label) <= _LABEL_LENGTH for label in labels)
        and not set(text) & set(' "\\\\()@;$')
    )
