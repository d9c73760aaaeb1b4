"""What OpenAPI has to be told of routes that parse their bodies themselves."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import BaseModel

T = TypeVar("T")


class Items(BaseModel, Generic[T]):
    """A list."""

    items: list[T]


class ErrorBody(BaseModel):
    """What is wrong, where, and what to do."""

    code: str
    message: str
    field: str | None = None
    remedy: str | None = None


class ErrorAnswer(BaseModel):
    """Every answer of 400 and more."""

    error: ErrorBody


# In the words of RFC 9110: those that Python has for a status changed with 3.13, and the document should not.
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": text}
    for status, text in {
        400: "Bad Request",
        401: "Unauthorized",
        403: "Forbidden",
        404: "Not Found",
        409: "Conflict",
        413: "Content Too Large",
        422: "Unprocessable Content",
        500: "Internal Server Error",
        503: "Service Unavailable",
    }.items()
}
BODIES: dict[str, type[BaseModel]] = {}


def body_is(model: type[BaseModel]) -> dict[str, Any]:
    """Describe the body of a route that parses it itself; its schema joins the document's components."""
    BODIES[model.__name__] = model
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def query_is(name: str, kind: str, text: str) -> dict[str, Any]:
    """Describe a parameter that a route reads itself."""
    return {
        "parameters": [
            {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": kind}},
        ]
    }
