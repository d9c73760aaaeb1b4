"""What users ask of an endpoint with driver options."""

from __future__ import annotations

import pytest

from socketplane.agent.asked import NOTHING, Asked, asked
from socketplane.errors import InvalidInput

DOCKERS = {"com.docker.network.endpoint.exposedports": [], "com.docker.network.portmap": []}


def test_without_options_nothing_is_asked_for() -> None:
    assert asked({}) == asked(DOCKERS) == NOTHING


@pytest.mark.parametrize("labels", ["a=b,c=d", "a=b c=d", " a=b,\tc=d ", "a=b, c=d"])
def test_a_rate_and_labels(labels: str) -> None:
    found = asked({**DOCKERS, "socketplane.rate": "10mbit", "socketplane.labels": labels})
    assert found == Asked(10_000_000, {"a": "b", "c": "d"})


def test_labels_win_over_the_containers() -> None:
    found = asked({"socketplane.labels": "app=web,tier=,url=a=b"})
    assert found.over({"app": "image", "x": "y"}) == {"app": "web", "x": "y", "tier": "", "url": "a=b"}


@pytest.mark.parametrize(
    ("options", "message", "remedy"),
    [
        ({"socketplane.rate": "10MB"}, r"^socketplane\.rate: '10MB' is not a rate", "write 80Mbit"),
        ({"socketplane.rate": ""}, "'' is not a rate", "10"),
        ({"socketplane.rates": "10mbit"}, r"^socketplane\.rates: unknown driver option", "did you mean socketplane.rate?"),
        ({"socketplane.labels": "a"}, r"^socketplane\.labels: 'a' is not KEY=VALUE", ""),
        ({"socketplane.labels": "=a"}, "'=a' is not KEY=VALUE", ""),
        ({"socketplane.labels": "a=b a=c"}, "a is there twice", "leave one out"),
        ({"socketplane.labels": "socketplane.io/container=x"}, "is a label of SocketPlane's own", "leave it out"),
        ({"socketplane.labels": "a=b", "c": "d"}, "c arrived as an option of its own", "blanks between labels"),
        ({"socketplane.labels": 1}, "has to be text", ""),
    ],
)
def test_what_is_wrong_is_named(options: dict[str, object], message: str, remedy: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        asked({**DOCKERS, **options})
    assert remedy in (caught.value.remedy or "")
