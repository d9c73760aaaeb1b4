"""A driver that agrees to everything: Docker asks it while it removes our networks, when the agent is gone.

With the agent there, a network that is removed on one host comes back, since the cluster still wants it; with no driver
at all, Docker looks for it for fifteen seconds a network.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

_ANSWERS = {"/Plugin.Activate": {"Implements": ["NetworkDriver", "IpamDriver"]}}


@contextlib.asynccontextmanager
async def serving(*sockets: Path) -> AsyncIterator[None]:
    """Answer on the driver's sockets, the agent's and Docker's; one on which somebody still does is left alone."""
    vacant = [path for path in sockets if _vacant(path)]
    app = web.Application()
    app.router.add_post("/{call}", _agree)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        for path in vacant:
            await web.UnixSite(runner, str(path)).start()
        yield
    finally:
        await runner.cleanup()
        for path in vacant:
            _vacant(path)


def _vacant(path: Path) -> bool:
    """Return whether nobody answers there; a socket that somebody left is removed."""
    with socket.socket(socket.AF_UNIX) as test:
        try:
            test.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            return True
    return False


async def _agree(request: web.Request) -> web.Response:
    return web.json_response(_ANSWERS.get(request.path, {}))
