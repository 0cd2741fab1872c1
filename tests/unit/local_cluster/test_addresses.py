from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cluster.addresses import HIGHEST_INDEX, AddressPlan, free_plan
from local_cluster.errors import ClusterError

EVERY_INDEX = range(1, HIGHEST_INDEX + 1)


def test_no_two_clusters_share_an_address() -> None:
    networks = [network for index in EVERY_INDEX for network in AddressPlan(index).networks]
    assert not [pair for pair in combinations(networks, 2) if pair[0].overlaps(pair[1])]


def test_the_addresses_lie_in_their_ranges() -> None:
    plan = AddressPlan(7)
    assert plan.outside in plan.link
    assert plan.node in plan.link
    assert plan.outside != plan.node
    assert plan.pod_gateway in plan.pods
    assert plan.api_service in plan.services


@given(st.sets(st.sampled_from(EVERY_INDEX), max_size=HIGHEST_INDEX - 1))
def test_a_new_cluster_gets_the_lowest_index_that_is_free(taken: set[int]) -> None:
    assert free_plan(taken, []).index == min(set(EVERY_INDEX) - taken)


@pytest.mark.parametrize("route", ["10.200.1.0/24", "10.101.5.0/24", "10.151.0.0/16"])
def test_an_index_whose_range_the_machine_routes_elsewhere_is_passed_over(route: str) -> None:
    assert free_plan([], [IPv4Network(route)]).index == 2


def test_a_machine_that_routes_all_of_10_is_told_so() -> None:
    with pytest.raises(ClusterError, match="routes of this machine"):
        free_plan([], [IPv4Network("10.0.0.0/8")])


@pytest.mark.parametrize("index", [0, HIGHEST_INDEX + 1])
def test_an_index_outside_the_plan_is_refused(index: int) -> None:
    with pytest.raises(ValueError, match="1 to 49"):
        AddressPlan(index)
