"""What agents said of their hosts last. Kept in memory only: a new controller hears from all within seconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from socketplane import wire
from socketplane.model.types import Address

FRESH_SECONDS = 25.0
"""An agent reports every 10 s: two in a row may be lost."""


@dataclass(frozen=True, slots=True)
class _Heard:
    report: wire.HostReport
    seen: float


class Reports:
    """Reports by host name, since a time. The clock comes in as an argument."""

    def __init__(self, since: float) -> None:
        self._heard: dict[str, _Heard] = {}
        self._ready: set[str] = set()
        self._silent: set[str] = set()
        self._since = since

    def put(self, host: str, report: wire.HostReport, now: float) -> bool:
        """Take in a report; return whether it says something new."""
        before = self._heard.get(host)
        self._heard[host] = _Heard(report, now)
        return bool(self.turned(now)) or before is None or report.says_new(before.report)

    def forget(self, host: str) -> None:
        """Forget a host that left."""
        self._heard.pop(host, None)
        self._ready.discard(host)

    def get(self, host: str) -> tuple[wire.HostReport | None, float | None]:
        """Return a host's last report and when it came."""
        heard = self._heard.get(host)
        return (heard.report, heard.seen) if heard else (None, None)

    def claim(self, host: str, address: Address) -> wire.Claim | None:
        """Return what a host said last of a floating address; None where it said nothing."""
        heard = self._heard.get(host)
        return next((claim for claim in (heard.report.floating if heard else ()) if claim.address == address), None)

    def is_ready(self, host: str, now: float) -> bool:
        """Return whether containers can be attached on a host now."""
        return host in self._heard and not self.fault(host, now)

    def is_silent(self, host: str, now: float) -> bool:
        """Return whether a host was not heard for so long that it is probably gone."""
        heard = self._heard.get(host)
        return now - (heard.seen if heard else self._since) > FRESH_SECONDS

    def fault(self, host: str, now: float) -> str:
        """Return why no container can be attached on a host; "" where one can, or while its first report is awaited."""
        heard = self._heard.get(host)
        if heard is None:
            late = now - self._since > FRESH_SECONDS
            return "its agent has not been heard since the controller started" if late else ""
        if now - heard.seen > FRESH_SECONDS:
            return f"its agent was last heard {now - heard.seen:.0f} s ago"
        if not heard.report.ovn_controller:
            return "ovn-controller is not connected to the southbound database"
        return "" if heard.report.docker else "Docker does not answer its agent"

    def turned(self, now: float) -> set[str]:
        """Return the hosts that became ready, or ceased to be, since the last call."""
        ready = {host for host in self._heard if self.is_ready(host, now)}
        turned, self._ready = ready ^ self._ready, ready
        return turned

    def silenced(self, hosts: Iterable[str], now: float) -> set[str]:
        """Return which of all these hosts became silent, or ceased to be, since the last call."""
        silent = {host for host in hosts if self.is_silent(host, now)}
        turned, self._silent = silent ^ self._silent, silent
        return turned
