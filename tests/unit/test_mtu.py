"""What fits into underlays."""

import pytest

from socketplane.model.mtu import LEAST, common, fitting


@pytest.mark.parametrize(
    ("underlay", "mtu"), [(1500, 1442), (1400, 1342), (9000, 8942), (1420, 1362), (600, LEAST), (68, LEAST)]
)
def test_a_tunnel_s_headers_are_left_room(underlay, mtu):
    assert fitting(underlay) == mtu


@pytest.mark.parametrize(
    ("underlays", "mtu"), [([], None), ([0, 0], None), ([1500], 1442), ([9000, 1500, 0], 1442), ([1500, 1400], 1342)]
)
def test_the_smallest_known_underlay_decides(underlays, mtu):
    assert common(underlays) == mtu
