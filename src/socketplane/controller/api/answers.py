"""Bodies in and answers out, without the slow parts of a framework: what the busy routes use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import orjson
from fastapi import Depends
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request
from starlette.responses import Response

from socketplane.controller.service import Standby
from socketplane.errors import InvalidInput, SocketPlaneError
from socketplane.transport.client import STANDBY_HEADER

M = TypeVar("M", bound=BaseModel)
_NUL = b"\\u0000"


async def body_of(request: Request, model: type[M], *, keep_nul: bool = False) -> M:
    """Parse a request's body. A NUL in its texts is refused, or with `keep_nul` replaced: no database can hold it.

    Raises:
        InvalidInput: it is not JSON, or not what the call takes: names the field.
    """
    content = await request.body()
    if not content:
        raise InvalidInput("the request has no body", field="body", remedy="send JSON")
    has_nul = _NUL in content
    try:
        if has_nul and keep_nul:
            return model.model_validate_json(orjson.dumps(_replace_nul(orjson.loads(content))))
        parsed = model.model_validate_json(content)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False, include_context=False)) from None
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"invalid JSON: {error}", field="body") from None
    if has_nul:
        _refuse_nul(parsed.model_dump(mode="json"))
    return parsed


def body_as(model: type[M]) -> Any:
    """Return the dependency that parses a body: as FastAPI would, but with our errors."""

    async def parse(request: Request) -> M:
        return await body_of(request, model)

    return Depends(parse)


def flag(request: Request, name: str) -> bool:
    """Return a parameter that is true or false, and false where it is absent."""
    text = request.query_params.get(name, "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise InvalidInput("has to be true or false", field=name)
    return text in ("true", "1")


def invalid(errors: Sequence[ErrorDetails | Mapping[str, Any]]) -> InvalidInput:
    """Return what a caller is told of a body or parameter that does not fit: the first fault, and how many more."""
    first = errors[0]
    path = [part for part in first["loc"] if part not in ("body", "query", "path")]
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "there is no such field"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return InvalidInput(message[:1].lower() + message[1:] + more, field=field or "body")


def _refuse_nul(value: Any, path: str = "") -> None:
    """Refuse text with a NUL, which the databases can't hold."""
    match value:
        case str() if "\0" in value:
            raise InvalidInput("text can't hold a NUL character", field=path or "body")
        case dict():
            for key, item in value.items():
                _refuse_nul(key, path)
                _refuse_nul(item, f"{path}.{key}".lstrip("."))
        case list():
            for number, item in enumerate(value):
                _refuse_nul(item, f"{path}[{number}]")
        case _:
            pass


def _replace_nul(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\0", "\ufffd")
        case dict():
            return {_replace_nul(key): _replace_nul(item) for key, item in value.items()}
        case list():
            return [_replace_nul(item) for item in value]
        case _:
            return value


class Json(Response):
    """A 200 with JSON; made faster than a Response is."""

    media_type = "application/json"

    def __init__(self, content: bytes) -> None:
        self.status_code = 200
        self.background = None
        self.body = content
        self.raw_headers = [(b"content-length", str(len(content)).encode()), (b"content-type", b"application/json")]


def answer(content: BaseModel) -> Response:
    """Return a value as JSON."""
    return Json(content.model_dump_json().encode())


def error_answer(error: SocketPlaneError) -> Response:
    """Return an error as JSON, with its status."""
    response = Response(orjson.dumps({"error": error.as_dict()}), error.status, media_type="application/json")
    if isinstance(error, Standby):
        response.headers[STANDBY_HEADER] = "1"
    return response
