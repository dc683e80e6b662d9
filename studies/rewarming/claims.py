"""Claims on continued pre-training, and what each is judged on; bars, margins and shares are settings.

Gupta et al. were read in full. Numbers of Ibrahim et al. are quoted from notes that say they read its fourth version;
of Singh et al. the abstract alone was read.
"""

from common.config import Claim, Select
from studies.rewarming.study import OTHER, PEAKS, STARTS, WARMUPS, arms, of_both

GUPTA = "Gupta et al. 2023 (arXiv:2308.04014)"
IBRAHIM = "Ibrahim et al. 2024 (arXiv:2403.08763)"
SINGH = "Singh et al. 2025 (arXiv:2503.02844), abstract"

BY_PEAK = Select(arm=of_both(*PEAKS))
REPLAYED = Select(arm=["weak_rewarm", "weak_replay5", "strong_rewarm", "strong_replay25"])
"""Without replay, and with the share that is judged for each shift."""
BEGUN = [f"weak_beginning_{state}{share}" for state in ("kept", "reset") for share in (0, 1)]
"""First updates without a warm-up, and with one over 1 % of the phase."""
TRUNKS = ("infinite_trunk", "chain_trunk")
ANNEALS = ("infinite_anneal", "chain_anneal")
COSINES = ("same_rewarm", "repeated_same", "repeated_chain")

CLAIMS = [
    Claim(
        "R1",
        "the length of the warm-up does not matter in the end",
        verdict="warmup_length_does_not_matter",
        source=GUPTA,
        published="curves of 0 to 2 % coincide by 50B tokens",
        mark="published",
        settings={"margin": 0.01},
        runs=Select(arm=[*of_both("rewarm"), *arms(WARMUPS)]),
    ),
    Claim(
        "R2",
        "without a warm-up the loss spikes",
        verdict="no_warmup_spikes",
        source=f"{GUPTA}; with the optimizer reset, as in {IBRAHIM}",
        settings={"bar": 0.05, "share": 0.02},
        runs=Select(arm=["weak_rewarm", "weak_warm0", *BEGUN]),
    ),
    Claim(
        "R3",
        "a higher peak gives more adaptation",
        verdict="higher_peak_more_adaptation",
        source=GUPTA,
        published="monotone in 1.5e-4, 3e-4, 6e-4",
        mark="published",
        caveat="twice the peak is above the best one of so short a phase",
        runs=BY_PEAK,
    ),
    Claim(
        "R3a",
        "a higher peak gives more forgetting",
        verdict="higher_peak_more_forgetting",
        source=GUPTA,
        published="monotone in 1.5e-4, 3e-4, 6e-4",
        mark="published",
        runs=BY_PEAK,
    ),
    Claim(
        "R4",
        "a small constant rate forgets least and adapts least",
        verdict="constant_forgets_least",
        source=GUPTA,
        published="best on new text only within the first 100B of 240B tokens",
        mark="published",
        runs=Select(arm=of_both("constant", *PEAKS)),
    ),
    Claim(
        "R5",
        "re-warming hurts even if the text stays the same",
        verdict="rewarming_hurts_on_the_same_data",
        headline=True,
        source=IBRAHIM,
        published="rise 0.1 (1x), 0.2 (2x); with a shift 0.35, 0.45",
        mark="second-hand",
        settings={"bar": 0.02, "least": 1.3, "most": 3.0},
        runs=Select(arm=["same_rewarm", "same_double", *of_both("rewarm")]),
    ),
    Claim(
        "R5a",
        "re-warmed on the same text, a model is still worse than at the start after a sixth of the phase",
        verdict="no_early_recovery_on_the_same_data",
        source=f"{GUPTA}, takeaway 3",
        published="does not appear to recover: 50B of 297B tokens were trained",
        mark="published",
        settings={"share": 0.17},
        runs=Select(arm=["same_rewarm", "same_double"]),
    ),
    Claim(
        "R6",
        "a trained start beats scratch on the new text",
        verdict="trained_start_beats_scratch",
        source=GUPTA,
        published="all re-warmed runs below scratch",
        mark="published",
        seeds=3,
        caveat="scratch has the second phase's warm-up of eight updates",
        runs=Select(arm=of_both("rewarm", "scratch")),
    ),
    Claim(
        "R7",
        "a little replay prevents most forgetting",
        verdict="replay_removes_forgetting",
        source=IBRAHIM,
        published="weak, 5 %: 78 %; strong, 25 %: 88 %",
        mark="second-hand",
        settings={"weak": 0.5, "strong": 0.7},
        runs=REPLAYED,
    ),
    Claim(
        "R8",
        "replay costs almost no adaptation",
        verdict="replay_costs_little",
        source=IBRAHIM,
        published="weak, 5 %: +0.01; strong, 25 %: +0.05",
        mark="second-hand",
        caveat="the error of 8,192 validation bytes, as large as the margin, is not in the interval",
        settings={"weak": 0.01, "strong": 0.05},
        runs=REPLAYED,
    ),
    Claim(
        "R9",
        "re-warming, re-decaying and replay match joint training at a third of its updates",
        verdict="matches_joint",
        source=IBRAHIM,
        published="+0.9 % (weak, 5 %), 0 % (strong, 25 %) at half and two fifths of them",
        mark="second-hand",
        caveat="the peak of joint training was tuned, that of replay was not",
        settings={"margin": 0.02},
        runs=Select(arm=["weak_replay5", "strong_rewarm", "strong_replay25", *of_both("joint")]),
    ),
    Claim(
        "R10",
        "a strong shift causes at least three times as much forgetting as a weak one",
        verdict="strong_shift_forgets_more",
        kind="ours",
        source=f"numbers of {IBRAHIM}",
        published="0.27 and 1.39 nats/token: 5 times",
        mark="second-hand",
        caveat="the ratio says which texts were chosen, not how models behave",
        settings={"bar": 3.0},
        runs=Select(arm=of_both("rewarm")),
    ),
    Claim(
        "R11",
        "without a shift, infinite schedules end at the same loss as repeated cosines",
        verdict="infinite_equals_repeated",
        source=IBRAHIM,
        published="all schedules similar on 3 x 100B tokens",
        mark="second-hand",
        caveat="the infinite schedule is ahead before the first re-warming",
        settings={"margin": 0.015},
        runs=Select(arm=["infinite_anneal", "same_rewarm", "repeated_same", *arms(OTHER)]),
    ),
    Claim(
        "R12",
        "infinite schedules avoid the rise in loss at boundaries",
        verdict="infinite_avoids_the_rise",
        source=SINGH,
        settings={"share": 0.5},
        runs=Select(arm=[*TRUNKS, *ANNEALS, *COSINES]),
    ),
    Claim(
        "R13",
        "over shifting domains, infinite schedules are at least as good",
        verdict="infinite_over_domains",
        source=SINGH,
        caveat="the infinite schedule is ahead before the text changes first",
        runs=Select(arm=[*ANNEALS, "repeated_chain"]),
    ),
    Claim(
        "R14",
        "the latest checkpoint is the best starting point",
        verdict="latest_checkpoint_is_best",
        source=GUPTA,
        published="the latest checkpoint is best (takeaway 4)",
        mark="published",
        runs=Select(arm=["weak_rewarm", *arms(STARTS)]),
    ),
]
