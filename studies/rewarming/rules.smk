rule rewarming:
    """Every figure and verdict of the study rewarming."""
    input:
        STUDIES.figures("rewarming"),
        "results/rewarming/claims.json",


rule rewarming_loss:
    """Losses of both texts by peak and by length of the warm-up, and on the same text."""
    input:
        runs=STUDIES.outputs(
            "rewarming",
            arm=[
                "weak_constant",
                "weak_half",
                "weak_rewarm",
                "weak_double",
                "weak_scratch",
                "strong_constant",
                "strong_half",
                "strong_rewarm",
                "strong_double",
                "strong_scratch",
                "strong_held",
                "weak_warm0",
                "weak_warm5",
                "strong_warm0",
                "strong_warm5",
                "weak_beginning_kept0",
                "weak_beginning_kept1",
                "weak_beginning_kept5",
                "weak_beginning_reset0",
                "weak_beginning_reset1",
                "weak_beginning_reset5",
                "same_constant",
                "same_rewarm",
                "same_double",
            ],
        ),
    output:
        report(
            "figures/rewarming_loss.pdf",
            category="rewarming",
            caption="loss.rst",
        ),
        multiext("figures/rewarming_loss", ".png", ".csv", ".json"),
    log:
        "logs/figures/rewarming_loss.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/rewarming/plot_loss.py"),
    script:
        "plot_loss.py"


rule rewarming_replay:
    """Losses of both texts by the share of replay, and all ways of training at the end."""
    input:
        runs=STUDIES.outputs(
            "rewarming",
            arm=[
                "weak_rewarm",
                "weak_replay1",
                "weak_replay5",
                "weak_replay25",
                "weak_replay50",
                "weak_joint",
                "weak_scratch",
                "weak_only_old",
                "weak_only_new",
                "strong_rewarm",
                "strong_replay1",
                "strong_replay5",
                "strong_replay25",
                "strong_replay50",
                "strong_joint",
                "strong_scratch",
                "strong_only_old",
                "strong_only_new",
            ],
        ),
    output:
        report(
            "figures/rewarming_replay.pdf",
            category="rewarming",
            caption="replay.rst",
        ),
        multiext("figures/rewarming_replay", ".png", ".csv", ".json"),
    log:
        "logs/figures/rewarming_replay.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/rewarming/plot_replay.py"),
    script:
        "plot_replay.py"


rule rewarming_infinite:
    """Infinite schedules against a cosine for each phase, on one text and over domains."""
    input:
        runs=STUDIES.outputs(
            "rewarming",
            arm=[
                "infinite_trunk",
                "infinite_anneal",
                "chain_trunk",
                "chain_anneal",
                "same_rewarm",
                "repeated_same",
                "repeated_chain",
                "other_inverse_sqrt",
                "other_wsd_s",
            ],
        ),
        cosine=STUDIES.outputs("rewarming", arm="repeated_same"),
    output:
        report(
            "figures/rewarming_infinite.pdf",
            category="rewarming",
            caption="infinite.rst",
        ),
        multiext("figures/rewarming_infinite", ".png", ".csv", ".json"),
    log:
        "logs/figures/rewarming_infinite.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/rewarming/plot_infinite.py"),
    script:
        "plot_infinite.py"


rule rewarming_tradeoff:
    """The plane of both losses, earlier checkpoints, and forgetting by the measured shift."""
    input:
        shift="results/rewarming/shift.csv",
        runs=STUDIES.outputs(
            "rewarming",
            arm=[
                "weak_constant",
                "weak_half",
                "weak_rewarm",
                "weak_double",
                "weak_replay25",
                "weak_joint",
                "weak_scratch",
                "strong_constant",
                "strong_half",
                "strong_rewarm",
                "strong_double",
                "strong_replay25",
                "strong_joint",
                "strong_scratch",
                "weak_from375",
                "weak_from750",
                "quarter_rewarm",
                "permuted_rewarm",
                "same_rewarm",
            ],
        ),
    output:
        report(
            "figures/rewarming_tradeoff.pdf",
            category="rewarming",
            caption="tradeoff.rst",
        ),
        multiext("figures/rewarming_tradeoff", ".png", ".csv", ".json"),
    log:
        "logs/figures/rewarming_tradeoff.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/rewarming/plot_tradeoff.py"),
    script:
        "plot_tradeoff.py"


rule rewarming_measure_shift:
    """Divergence of old and new text, differences of cross-entropies, and realised shares of replay."""
    input:
        STUDIES.outputs(
            "rewarming",
            arm=[
                "weak_rewarm",
                "weak_replay1",
                "weak_replay5",
                "weak_replay25",
                "weak_replay50",
                "weak_joint",
                "weak_only_old",
                "weak_only_new",
                "strong_rewarm",
                "strong_replay1",
                "strong_replay5",
                "strong_replay25",
                "strong_replay50",
                "strong_joint",
                "strong_only_old",
                "strong_only_new",
                "quarter_rewarm",
                "permuted_rewarm",
                "same_rewarm",
            ],
        ),
    output:
        "results/rewarming/shift.csv",
    log:
        "logs/rewarming/measure_shift.log",
    conda:
        "../../envs/environment.yml"
    threads: 1
    params:
        code=provenance.script_digest("studies/rewarming/measure_shift.py"),
    script:
        "measure_shift.py"


rule rewarming_measure_outcomes:
    """Forgetting, adaptation, gap to joint training, rise and recovered share of every way of going on."""
    input:
        STUDIES.outputs("rewarming", "metrics.csv"),
    output:
        "results/rewarming/outcomes.csv",
    log:
        "logs/rewarming/measure_outcomes.log",
    conda:
        "../../envs/environment.yml"
    threads: 1
    params:
        code=provenance.script_digest("studies/rewarming/measure_outcomes.py"),
    script:
        "measure_outcomes.py"
