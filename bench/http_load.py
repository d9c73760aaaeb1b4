"""Requests to an HTTP server, each on a connection of its own, in a container's network. With the standard library only.

`load ADDRESS PORT SECONDS AT_ONCE`: writes how long it took, how many failed, and how long each good one took in seconds.
`watch ADDRESS PORT SECONDS PERIOD`: begins one each period, whatever became of those before; writes a line for each: when
it was begun by the monotonic clock, and 1 if it was answered.
`serve PORT`: answers them until it is killed.
"""

from __future__ import annotations

import asyncio
import sys
import time

PATIENCE = 0.5
"""Seconds after which a request counts as failed."""


async def ask(address: str, port: int) -> bool:
    """Return whether a request was answered with 200."""
    writer = None
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(address, port)
            writer.write(b"GET /index.html HTTP/1.0\r\n\r\n")
            told = await reader.read()
    except (OSError, TimeoutError):
        return False
    finally:
        if writer is not None:
            writer.close()
    return told.split(b" ", 2)[1:2] == [b"200"]


async def load(address: str, port: int, seconds: float, at_once: int) -> None:
    """Keep so many requests under way."""
    took: list[float] = []
    failed = 0
    began = time.perf_counter()

    async def one_after_the_other() -> None:
        nonlocal failed
        while (sent := time.perf_counter()) - began < seconds:
            if await ask(address, port):
                took.append(time.perf_counter() - sent)
            else:
                failed += 1

    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
    print(time.perf_counter() - began, failed, *(f"{value:.6f}" for value in took))


async def watch(address: str, port: int, seconds: float, period: float) -> None:
    """Begin one each period."""

    async def one() -> tuple[float, bool]:
        began = time.monotonic()
        return began, await ask(address, port)

    tasks = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        tasks.append(asyncio.create_task(one()))
        await asyncio.sleep(period)
    for began, answered in await asyncio.gather(*tasks):
        print(began, int(answered))


async def serve(port: int) -> None:
    """Answer each request with a small page, and close."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + b"x" * 100)
            await writer.drain()
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "", port, backlog=4096)
    await server.serve_forever()


def main() -> None:
    """Do what the arguments say."""
    if sys.argv[1] == "serve":
        asyncio.run(serve(int(sys.argv[2])))
    mode, address, port, *numbers = sys.argv[1:]
    if mode == "load":
        asyncio.run(load(address, int(port), float(numbers[0]), int(numbers[1])))
    else:
        asyncio.run(watch(address, int(port), float(numbers[0]), float(numbers[1])))


if __name__ == "__main__":
    main()
