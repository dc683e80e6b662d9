"""Claims on the stability gap, in their order. Thresholds frozen after pilots with seeds 100 to 104."""

# ruff: noqa: F401, I001 (the order of these imports is the order of the claims)

from studies.stability_gap.claims.gap import (
    dense_evaluation_shows_a_drop,
    sparse_evaluation_underestimates,
    gap_grows_with_dissimilarity,
    drop_is_temporary,
    gap_is_not_a_memory_problem,
    all_families_drop,
    all_families_recover,
    projection_does_not_help,
    restart_opens_a_gap,
    straight_path_is_low,
    halves_are_joined_straight,
    larger_rates_deepen_the_gap,
    smaller_rates_lengthen_the_gap,
    depth_rises_with_the_rate,
    momentum_deepens_the_gap,
    momentum_deepens_the_gap_at_matched_rates,
)
from studies.stability_gap.claims.cures import (
    ramp_cures_rotation_joint,
    ramp_cures_rotation_replay,
    ramp_cures_classes,
    warmup_fails_on_rotation,
    warmup_fails_on_classes,
    ramp_costs_little,
    ramp_cures_text,
    averages_are_more_stable,
    averages_are_more_stable_on_classes,
)
from studies.stability_gap.claims.gap import (
    only_the_new_task_pulls_at_the_switch,
)
from studies.stability_gap.claims.cures import (
    replay_makes_the_rise_transient,
    joint_training_makes_the_rise_transient,
    repetition_recovers_sooner,
    quality_keeps_old_skill,
    replay_shrinks_the_rise,
)
from studies.stability_gap.claims.gap import (
    similarity_cuts_both_ways,
)
