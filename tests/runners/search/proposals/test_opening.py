"""The networks that a study begins with: how many, at which bits, how near to the limits, of which kinds."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from objectives import known_costs
from objectives.limits import Limit, parse_limit, violated
from runners.config import LimitsConfig, SearchConfig, StudyConfig
from runners.search.events import TrialEvent
from runners.search.pricing.cost_check import Price
from runners.search.proposals.opening import NEAR, SHARES, Start, opening
from runners.trial_record import TrialRecord
from search_space import ArchSpec, SearchSpace
from search_space.space import BLOCK_CHOICES, FixedTrial
from tests.runners.engines.fake_engine import FakeEngine
from tests.runners.search.test_coordinator import coordinator

SPACE = SearchSpace(base_width=(8, 40), width_multipliers=(0.5, 1.0), bits=(8, 32))
MOST = (parse_limit("max", "file_bytes=350k"),)


def price_within(limits: Sequence[Limit], float_ms: float = 2.0) -> Callable[[ArchSpec], Price]:
    """Prices with a latency: 1 ms below 32 bits, `float_ms` in float."""

    def price(spec: ArchSpec) -> Price:
        costs = known_costs(spec.build_graph()) | {"latency_ms": float_ms if spec.bits[0] == 32 else 1.0}
        return Price(costs, {}, "; ".join(violated(limits, costs)))

    return price


def begin(
    limits: Sequence[Limit] = MOST, space: SearchSpace = SPACE, float_ms: float = 2.0, **search: object
) -> list[tuple[Start, ArchSpec]]:
    settings = replace(SearchConfig(trials=16, references=("resnet20", "resnet32")), **search)  # type: ignore[arg-type]
    found = opening(space, settings, limits, price_within(limits, float_ms))
    return [(start, space.sample(FixedTrial(start.params))) for start in found]


def kinds(found: Sequence[tuple[Start, ArchSpec]]) -> list[tuple[str, bool]]:
    return [(spec.stages[0].block, spec.stages[0].se) for start, spec in found if start.label is None]


def test_references_come_at_8_bits_and_one_that_breaks_a_limit_at_any_bits_comes_to_be_rejected() -> None:
    found = begin()
    labelled = [(start.label, spec.bits[0], spec.depth) for start, spec in found if start.label]
    assert labelled == [("resnet20", 8, 20), ("resnet32", 8, 32)]
    assert [bool(violated(MOST, known_costs(spec.build_graph()))) for _, spec in found[:2]] == [False, True]


def test_a_reference_is_tried_in_float_too_where_that_is_faster() -> None:
    roomy = (parse_limit("max", "file_bytes=5M"),)
    assert [spec.bits[0] for _, spec in begin(roomy, float_ms=0.5)[:4]] == [8, 32, 8, 32]
    assert [spec.bits[0] for _, spec in begin(MOST, float_ms=0.5, references=("resnet20",))[:1]] == [8]
    assert {spec.bits[0] for start, spec in begin(roomy, float_ms=1.5) if start.label} == {8}


def test_a_reference_that_keeps_the_limits_in_float_alone_is_in_float() -> None:
    quick = (parse_limit("max", "latency_ms=0.8"),)
    assert [spec.bits[0] for start, spec in begin(quick, float_ms=0.5) if start.label] == [32, 32]
    assert [spec.bits[0] for _, spec in begin(space=replace(SPACE, bits=(32,)), references=("resnet20",))[:1]] == [32]


def test_each_block_that_no_reference_has_is_there_once_near_its_share_of_the_limits() -> None:
    found = begin()
    assert set(kinds(found)) == {BLOCK_CHOICES[block] for block in SPACE.blocks if block != "basic"}
    used = [known_costs(spec.build_graph())["file_bytes"] / 350e3 for start, spec in found if start.label is None]
    for number, share in enumerate(used):
        most = SHARES[number % len(SHARES)]
        assert NEAR * most <= share <= most


def test_few_networks_are_of_many_kinds_with_and_without_se() -> None:
    """Eight trials are one reference, of basic blocks without SE, and three others."""
    found = kinds(begin(trials=8, references=("resnet20",)))
    assert found == [("bottleneck", True), ("depthwise", False), ("ghost", True)]


@pytest.mark.parametrize("trials", [2, 6, 9, 12, 16, 40])
@pytest.mark.parametrize("references", [(), ("resnet20",), ("resnet20", "resnet32", "resnet44", "resnet56")])
def test_references_are_a_third_of_the_trials_at_most_and_all_a_half(trials: int, references: tuple[str, ...]) -> None:
    roomy = (parse_limit("max", "file_bytes=5M"),)
    found = begin(roomy, trials=trials, references=references)
    named = [start.label for start, _ in found if start.label]
    assert named == list(references[: max(1, trials // 3)])
    assert len(found) <= max(1, trials // 2)
    assert len(found) == max(len(named), min(trials // 2, len(named) + 8 - bool(named)))


def test_one_trial_is_one_reference() -> None:
    assert [start.label for start, _ in begin((), trials=1)] == ["resnet20"]


def test_a_reference_that_is_named_twice_comes_once() -> None:
    assert [start.label for start, _ in begin(references=("resnet20", "resnet20"))[:2]] == ["resnet20", None]


def test_deeper_networks_are_not_priced_where_all_of_one_depth_exceed_a_limit() -> None:
    tight, depths = (parse_limit("max", "latency_ms=0.1"),), set[int]()

    def price(spec: ArchSpec) -> Price:
        depths.add(spec.depth)
        return price_within(tight)(spec)

    assert opening(SPACE, SearchConfig(trials=16), tight, price) == []
    assert len(depths) == 1


def test_few_networks_are_priced_under_a_tight_limit_because_each_may_have_to_be_timed() -> None:
    """12 widths, 7 depths, 2 bits and 8 blocks are 1,344 networks."""
    wide = SearchSpace(base_width=(8, 96), width_multipliers=(1.0,), bits=(8, 32))
    priced = list[ArchSpec]()
    for most in (20e3, 60e3, 100e3, 350e3, 5e6):
        limits = (parse_limit("max", f"file_bytes={most}"),)
        priced.clear()

        def price(spec: ArchSpec, limits: Sequence[Limit] = limits) -> Price:
            priced.append(spec)
            return price_within(limits)(spec)

        found = opening(wide, SearchConfig(trials=16), limits, price)
        assert bool(found) is (most > 20e3)
        assert len(priced) < 150, most


def test_the_widest_that_fits_is_taken_and_8_bits_where_float_is_as_wide() -> None:
    wide = replace(SPACE, base_width=(8, 256))
    for start, spec in begin(space=wide):
        if start.label is None:
            share = known_costs(spec.build_graph())["file_bytes"] / 350e3
            most = next(s for s in sorted(SHARES) if share <= s)
            wider = wide.sample(FixedTrial({**start.params, "base_width": start.params["base_width"] + 8}))
            assert known_costs(wider.build_graph())["file_bytes"] > most * 350e3
            assert spec.bits[0] == 8


def test_without_a_limit_they_are_no_wider_than_resnet20() -> None:
    widths = {spec.stages[0].width for _, spec in begin(())}
    assert widths == {16}


def test_a_block_that_nothing_keeps_the_limits_of_is_left_out() -> None:
    tight = (parse_limit("max", "macs=2.5M"),)
    found = begin(tight, space=replace(SPACE, resolution=(32,)))
    assert 0 < len(kinds(found)) < 7
    for start, spec in found:
        assert start.label or not violated(tight, known_costs(spec.build_graph()))


def test_blocks_by_stage_are_one_kind_throughout() -> None:
    found = begin(space=replace(SPACE, block_scope="stage"), references=())
    assert len(found) == 8
    assert all(len({(stage.block, stage.se) for stage in spec.stages}) == 1 for _, spec in found)


def test_a_study_tells_by_name_which_reference_breaks_which_limit(tmp_path: Path) -> None:
    events = list[TrialEvent]()
    config = StudyConfig(
        objectives=("accuracy", "file_bytes"),
        space=SPACE,
        limits=LimitsConfig(max={"file_bytes": 350e3}),
        search=SearchConfig(trials=16, references=("resnet32", "resnet20"), stop_confidence=0.0),
    )
    engine = FakeEngine()
    coordinator(tmp_path, config, engine, on_event=events.append).run()
    named = [
        (event.trial.label, event.trial.reason)
        for event in events
        if event.trial.status == "rejected" and event.trial.label
    ]
    assert [label for label, _ in named] == ["resnet32"]
    assert str(named[0][1]).startswith("file_bytes <= 350,000 (is 5")
    first = [ArchSpec.from_dict(candidate.spec) for candidate in engine.submitted[:8]]
    assert (first[0].depth, first[0].stages[0].block) == (20, "basic")
    assert len({(spec.stages[0].block, spec.stages[0].se) for spec in first}) == 8


def test_a_looser_limit_brings_back_a_reference_and_judges_trials_anew(tmp_path: Path) -> None:
    config = StudyConfig(
        objectives=("accuracy", "file_bytes"),
        space=SPACE,
        limits=LimitsConfig(max={"file_bytes": 200e3}),
        search=SearchConfig(trials=8, references=("resnet20",), stop_confidence=0.0),
    )
    subject = coordinator(tmp_path, config)
    subject.run()
    assert [TrialRecord.of(t).status for t in subject.study.get_trials() if TrialRecord.of(t).label] == ["rejected"]
    looser = replace(config, limits=LimitsConfig(max={"file_bytes": 350e3}), search=replace(config.search, trials=12))
    resumed = coordinator(tmp_path, looser)
    resumed.run()
    found = [TrialRecord.of(t) for t in resumed.study.get_trials()]
    assert [facts.status for facts in found if facts.label] == ["rejected", "completed"]
    assert max(facts.costs["file_bytes"] for facts in found if facts.status == "completed") > 200e3
    tighter = replace(config, limits=LimitsConfig(max={"file_bytes": 100e3}), search=replace(config.search, trials=13))
    again = coordinator(tmp_path, tighter)
    front = again.state.front
    assert front and all(TrialRecord.of(again.study.trials[n]).costs["file_bytes"] <= 100e3 for n in front)
