"""What Open vSwitch's two datapaths do differently. Nothing else knows: it asks for the trait that it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

SEGMENTATION = "userspace-tso-enable"
"""Key of Open_vSwitch.other_config: whether Open vSwitch's own datapath takes over segmentation. Heeded at its start."""
Kind = Literal["kernel", "userspace"]
"""Which of Open vSwitch's datapaths forwards packets: the kernel's module, or ovs-vswitchd itself."""


@dataclass(frozen=True, slots=True)
class Traits:
    """One datapath, as far as we must treat it in another way than the other one."""

    kind: Kind
    bridge_type: str
    """Its name in Open vSwitch's database: Bridge.datapath_type, and OVN's `ovn-bridge-datapath-type`."""
    instance: str
    """Its name for `ovs-appctl dpctl/...`: ovs-dpctl(8)."""
    needs_module: bool
    """Whether the kernel must have the openvswitch module."""
    finishes_checksums: bool
    """Whether senders may leave checksums and segmentation to it. Otherwise TCP hangs where they do."""
    learns_segmentation: bool
    """Whether it finishes checksums and segments once `SEGMENTATION` is set, if Open vSwitch has the code for it."""
    borrows_underlay: bool
    """Whether tunnels use the kernel's routes and neighbours. Otherwise the NIC must be in a bridge of its own, and it is
    told the neighbours: the first packet to one that it doesn't know is lost."""
    refuses_fragments: bool
    """Whether fragments that never become whole go nowhere. Otherwise it is told not to collect them: after 15 seconds they
    would get past policy."""
    mixes_up_flows: bool
    """Whether it may change the wrong one of two remembered flows that overlap, so that it must forget all of them."""
    encrypts: bool
    """Whether tunnels can leave by a WireGuard device, which is the kernel's."""
    dies_of_zero_snat: bool
    """Whether OVN must be kept from its capability `ct_zero_snat`, which can end ovs-vswitchd 3.1."""


KERNEL = Traits(
    kind="kernel",
    bridge_type="system",
    instance="system@ovs-system",
    needs_module=True,
    finishes_checksums=True,
    learns_segmentation=False,
    borrows_underlay=True,
    refuses_fragments=True,
    mixes_up_flows=False,
    encrypts=True,
    dies_of_zero_snat=False,
)
USERSPACE = Traits(
    kind="userspace",
    bridge_type="netdev",
    instance="netdev@ovs-netdev",
    needs_module=False,
    finishes_checksums=False,
    learns_segmentation=True,
    borrows_underlay=False,
    refuses_fragments=False,
    mixes_up_flows=True,
    encrypts=False,
    dies_of_zero_snat=True,
)
SEGMENTING = replace(USERSPACE, finishes_checksums=True)
"""Open vSwitch's own datapath with `SEGMENTATION` set."""
BY_KIND: Mapping[Kind, Traits] = MappingProxyType({each.kind: each for each in (KERNEL, USERSPACE)})


def named(bridge_type: str | None, other_config: Mapping[str, str]) -> Traits | None:
    """Return the datapath that Open vSwitch's database calls so, with these settings; None for a name that it has not."""
    found = next((each for each in BY_KIND.values() if each.bridge_type == bridge_type), None)
    return SEGMENTING if found == USERSPACE and other_config.get(SEGMENTATION) == "true" else found
