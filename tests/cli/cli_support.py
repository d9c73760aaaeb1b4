"""Running commands as on a host, and things to have in a cluster."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from typer.testing import CliRunner, Result

from socketplane import wire
from socketplane.cli.main import app
from socketplane.config import Paths

WEB, DATABASE = UUID("11111111-aaaa-4000-8000-000000000001"), UUID("22222222-bbbb-4000-8000-000000000002")


@dataclass
class Cli:
    """Runs commands in this process as on the host whose files are below `paths`."""

    paths: Paths
    environment: dict[str, str | None]

    def __call__(self, *args: str, code: int = 0, stdin: str | bytes | None = None) -> Result:
        result = CliRunner(env=self.environment).invoke(app, args, input=stdin, obj=self.paths, prog_name="socketplane")
        assert result.exit_code == code, (args, result.output, result.exception)
        assert "Traceback" not in result.output
        if code != 0 and not isinstance(result.exception, SystemExit):
            raise AssertionError(f"{args}: {result.exception!r}") from result.exception
        return result

    def json(self, *args: str, code: int = 0, stdin: str | None = None) -> Any:
        return json.loads(self(*args, code=code, stdin=stdin).stdout)

    def columns(self, *args: str) -> list[list[str]]:
        """The table of a pipe, cut where two blanks part its columns."""
        return [[part.strip() for part in line.split("  ") if part.strip()] for line in self(*args).stdout.splitlines()]


def endpoint(
    letter: str, network: UUID, network_name: str, host: str, address: str, name: str, **more: Any
) -> wire.Endpoint:
    return wire.Endpoint(
        id=letter * 64,
        network=network,
        network_name=network_name,
        host=host,
        address=address,
        mac="02:53:0a:c0:00:02",
        container=name.encode().hex().ljust(64, "0"),
        name=name,
        **more,
    )
