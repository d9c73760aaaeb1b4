"""SocketPlane: one virtual network for plain Docker over many hosts, segmented by label."""

__version__ = "0.1.0"
