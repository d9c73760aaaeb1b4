"""A real ovsdb-server in a directory of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.ports import free_port


async def run(*command: str | Path) -> str:
    """Run a program to its end; return what it printed, raise with its errors when it fails."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    out, err = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]}: exit {process.returncode}: {err.decode()}")
    return out.decode()


class OvsdbServer:
    """`async with OvsdbServer(schema, directory) as server:` ... `server.remote`.

    `schema` is a schema file, which the programs read (another release's have their own), or a schema as a dict. With
    `cluster` the database is a RAFT cluster of this server, or with `join` (another server's `raft`) joins that one's.
    `tls` (key, certificate, CA) makes `ssl_remote` available; `tcp_remote` always is. `wrap` is put before the server's
    command line (without the database's file, if not `names_database`). Data survive stop() and kill(); a file that is
    there before is served as it is.
    """

    def __init__(
        self,
        schema: Path | Mapping[str, Any],
        directory: Path,
        *,
        cluster: bool = False,
        join: str | None = None,
        tls: tuple[Path, Path, Path] | None = None,
        wrap: Sequence[str] = (),
        names_database: bool = True,
        arguments: Sequence[str] = (),
    ) -> None:
        self._schema = schema
        self._directory = directory
        self._cluster = cluster or join is not None
        self._join = join
        self._tls = tls
        self._wrap = wrap
        self._names_database = names_database
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None
        self.socket = directory / "db.sock"
        self.database = directory / "db"
        self.control = directory / "control"
        self.remote = f"unix:{self.socket}"
        self._port, self._ssl_port, self._raft_port = free_port(), free_port(), free_port()
        self.tcp_remote = f"tcp:127.0.0.1:{self._port}"
        self.ssl_remote = f"ssl:127.0.0.1:{self._ssl_port}"
        self.raft = f"tcp:127.0.0.1:{self._raft_port}"

    @property
    def pid(self) -> int:
        """The process id of the server."""
        assert self._process is not None
        return self._process.pid

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._directory.mkdir, parents=True, exist_ok=True)
        await self._create()
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            await self.stop()

    async def _create(self) -> None:
        if await asyncio.to_thread(self.database.exists):
            return
        schema = self._schema
        if not isinstance(schema, Path):
            text, schema = json.dumps(schema), self._directory / "schema.json"
            await asyncio.to_thread(schema.write_text, text)
        if self._join is not None:
            name = (await run("ovsdb-tool", "schema-name", schema)).strip()
            await run("ovsdb-tool", "join-cluster", self.database, name, self.raft, self._join)
        elif self._cluster:
            await run("ovsdb-tool", "create-cluster", self.database, schema, self.raft)
        else:
            await run("ovsdb-tool", "create", self.database, schema)

    async def start(self) -> None:
        """Start the server; return when it accepts connections."""
        key, certificate, ca = self._tls or ("", "", "")
        tls = [f"--private-key={key}", f"--certificate={certificate}", f"--ca-cert={ca}"] if self._tls else []
        remotes = [f"punix:{self.socket}", f"ptcp:{self._port}:127.0.0.1"]
        remotes += [f"pssl:{self._ssl_port}:127.0.0.1"] if self._tls else []
        self._process = await asyncio.create_subprocess_exec(
            *self._wrap,
            "ovsdb-server",
            f"--unixctl={self.control}",
            f"--log-file={self._directory / 'log'}",
            "--verbose=console:off",
            "--no-chdir",
            *(f"--remote={remote}" for remote in remotes),
            *tls,
            *self._arguments,
            *([str(self.database)] if self._names_database else []),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=os.environ | {"OVS_RUNDIR": str(self._directory), "OVS_LOGDIR": str(self._directory)},
        )
        async with asyncio.timeout(10):
            while not await self._accepts():
                if self._process.returncode is not None:
                    log = await asyncio.to_thread((self._directory / "log").read_text)
                    raise RuntimeError(f"ovsdb-server ended with {self._process.returncode}:\n{log}")
                await asyncio.sleep(0.005)  # between two looks

    async def _accepts(self) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(str(self.socket))
        except OSError:
            return False
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True

    async def stop(self) -> None:
        """Ask the server to end (SIGTERM) and wait until it has."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End the server as a crash would (SIGKILL)."""
        await self._end(signal.SIGKILL)

    async def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
            process.send_signal(signal.SIGCONT)
        async with asyncio.timeout(10):
            await process.wait()

    def pause(self) -> None:
        """Stop the process in its tracks: connections stay, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        os.kill(self.pid, signal.SIGCONT)

    async def appctl(self, *command: str) -> str:
        """Send a command to the server's control socket."""
        return await run("ovs-appctl", "-t", self.control, *command)
