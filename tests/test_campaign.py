"""A part of a campaign is chosen by its seed, the whole leaves nothing out, and a run says which it played."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.campaign import ALL, Campaign, CampaignError, campaign

ROOT = Path(__file__).resolve().parent.parent
THINGS = st.lists(st.integers(), max_size=200)


@given(THINGS, st.integers(0, 999), st.integers(0, 9))
def test_the_whole_is_everything_in_its_order(things: list[int], seed: int, least: int) -> None:
    assert Campaign(percent=ALL, seed=seed).part("kills", things, least=least) == things


@given(THINGS, st.integers(1, ALL), st.integers(0, 999), st.integers(1, 9))
def test_a_part_is_in_order_as_large_as_asked_and_the_same_for_the_same_seed(
    things: list[int], percent: int, seed: int, least: int
) -> None:
    numbered = list(enumerate(things))
    chosen = Campaign(percent=percent, seed=seed).part("kills", numbered, least=least)
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(numbered)
    assert len(chosen) >= min(len(things), least, 1)
    assert 100 * len(chosen) >= percent * len(things)
    assert chosen == Campaign(percent=percent, seed=seed).part("kills", numbered, least=least)


def test_seeds_and_names_choose_differently_and_together_leave_nothing_out() -> None:
    things = range(50)
    parts = [tuple(Campaign(percent=10, seed=seed).part("kills", things)) for seed in range(200)]
    assert len(set(parts)) > 100
    assert {thing for part in parts for thing in part} == set(things)
    assert Campaign(percent=10, seed=1).part("worlds", things) != list(parts[1])


@pytest.mark.parametrize("text", ["0", "101", "-1", "ten", "1.5", "١"])
def test_another_share_than_1_to_100_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(CampaignError, match=r"PITCREW_CAMPAIGN is .*; it takes a whole number from 1 to 100"):
        campaign({"PITCREW_CAMPAIGN": text})


def run_pytest(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    unset = ("PITCREW_CAMPAIGN", "PITCREW_SEED", "PITCREW_REQUIRE")
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", __file__, "-k", "differently", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=inherited | environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_run_says_which_part_it_plays_and_how_to_play_it_again() -> None:
    given_ = run_pytest(PITCREW_CAMPAIGN="25", PITCREW_SEED="7").stdout
    assert "campaigns: 25 % of each; PITCREW_CAMPAIGN=25 PITCREW_SEED=7 plays the same" in given_
    assert "campaigns: all of each" in run_pytest("-q", PITCREW_CAMPAIGN="100").stdout
    assert "campaigns: 10 % of each; PITCREW_CAMPAIGN=10 PITCREW_SEED=" in run_pytest("-q", "-n", "1").stdout


def test_a_share_that_makes_no_sense_ends_the_run() -> None:
    ran = run_pytest(PITCREW_CAMPAIGN="all")
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "PITCREW_CAMPAIGN is 'all'" in ran.stderr
