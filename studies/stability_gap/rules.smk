rule stability_gap:
    """Every figure and verdict of the study stability_gap."""
    input:
        STUDIES.figures("stability_gap"),
        "results/stability_gap/claims.json",


rule stability_gap_curve:
    """Accuracy on the first task at every update of three, and what task ends show of it."""
    input:
        runs=STUDIES.outputs(
            "stability_gap", arm=["chain_joint", "chain_er", "chain_finetune"]
        ),
        switches=STUDIES.outputs(
            "stability_gap",
            arm=[
                "rotation_joint",
                "rotation_er",
                "rotation_er_large",
                "rotation_finetune",
            ],
            lr=0.1,
        ),
    output:
        report(
            "figures/stability_gap_curve.pdf",
            category="stability_gap",
            caption="curve.rst",
        ),
        multiext("figures/stability_gap_curve", ".png", ".csv", ".json"),
    log:
        "logs/figures/stability_gap_curve.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/stability_gap/plot_curve.py"),
    script:
        "plot_curve.py"


rule stability_gap_periodicity:
    """Depth of the gap that is seen against the updates between evaluations."""
    input:
        runs=STUDIES.outputs(
            "stability_gap",
            arm=[
                "chain_joint",
                "chain_er",
                "chain_finetune",
                "pairs_joint",
                "pairs_er",
                "pairs_finetune",
            ],
        ),
        switches=STUDIES.outputs(
            "stability_gap",
            arm=[
                "rotation_joint",
                "rotation_er",
                "classes_joint",
                "classes_er",
            ],
            lr=0.1,
        ),
    output:
        report(
            "figures/stability_gap_periodicity.pdf",
            category="stability_gap",
            caption="periodicity.rst",
        ),
        multiext("figures/stability_gap_periodicity", ".png", ".csv", ".json"),
    log:
        "logs/figures/stability_gap_periodicity.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/stability_gap/plot_periodicity.py"),
    script:
        "plot_periodicity.py"


rule stability_gap_similarity:
    """Depth and recovery against the angle between two tasks, and what fine-tuning forgets in the end."""
    input:
        runs=STUDIES.outputs(
            "stability_gap",
            arm=[
                "angle_joint",
                "angle_er",
                "angle_finetune",
                "rotation_joint",
                "rotation_er",
                "rotation_finetune",
            ],
            lr=0.1,
        ),
    output:
        report(
            "figures/stability_gap_similarity.pdf",
            category="stability_gap",
            caption="similarity.rst",
        ),
        multiext("figures/stability_gap_similarity", ".png", ".csv", ".json"),
    log:
        "logs/figures/stability_gap_similarity.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/stability_gap/plot_similarity.py"),
    script:
        "plot_similarity.py"


rule stability_gap_methods:
    """Depth, residual and worst case of every method after a switch to rotated digits."""
    input:
        runs=STUDIES.outputs(
            "stability_gap",
            arm=[
                "rotation_finetune",
                "rotation_er",
                "rotation_er_large",
                "rotation_gem",
                "rotation_er_agem",
                "rotation_lwf",
                "rotation_ewc",
                "rotation_joint",
            ],
            lr=0.1,
        ),
    output:
        report(
            "figures/stability_gap_methods.pdf",
            category="stability_gap",
            caption="methods.rst",
        ),
        multiext("figures/stability_gap_methods", ".png", ".csv", ".json"),
    log:
        "logs/figures/stability_gap_methods.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/stability_gap/plot_methods.py"),
    script:
        "plot_methods.py"


rule stability_gap_gradients:
    """Gradients of old and new task and their cosine in the first updates after a switch."""
    input:
        runs=STUDIES.outputs("stability_gap", arm="rotation_gradients"),
    output:
        report(
            "figures/stability_gap_gradients.pdf",
            category="stability_gap",
            caption="gradients.rst",
        ),
        multiext("figures/stability_gap_gradients", ".png", ".csv", ".json"),
    log:
        "logs/figures/stability_gap_gradients.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/stability_gap/plot_gradients.py"),
    script:
        "plot_gradients.py"


rule stability_gap_lm:
    """Losses of a byte transformer that goes on from prose to code, under replay and three strategies."""
    input:
        runs=STUDIES.outputs(
            "stability_gap",
            arm=[
                "text_same",
                "text_pass",
                "text_replay",
                "text_subset",
                "text_ranked",
                "text_joint",
                "text_joint_ramp",
                "text_joint_warmup",
            ],
        ),
    output:
        report(
            "figures/stability_gap_lm.pdf", category="stability_gap", caption="lm.rst"
        ),
        multiext("figures/stability_gap_lm", ".png", ".csv", ".json"),
    log:
        "logs/figures/stability_gap_lm.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/stability_gap/plot_lm.py"),
    script:
        "plot_lm.py"


rule stability_gap_projection:
    """Joint training and replay with and without gradient projection at three learning rates."""
    input:
        runs=STUDIES.outputs(
            "stability_gap",
            arm=[
                "rotation_joint",
                "rotation_joint_agem",
                "rotation_joint_gem",
                "rotation_er",
                "rotation_er_agem",
                "rotation_er_gem",
            ],
            lr=[0.03, 0.1, 0.3],
        )
        + STUDIES.outputs(
            "stability_gap", arm=["classes_joint", "classes_joint_agem"], lr=0.1
        ),
    output:
        report(
            "figures/stability_gap_projection.pdf",
            category="stability_gap",
            caption="projection.rst",
        ),
        multiext("figures/stability_gap_projection", ".png", ".csv", ".json"),
    log:
        "logs/figures/stability_gap_projection.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/stability_gap/plot_projection.py"),
    script:
        "plot_projection.py"


rule stability_gap_homogeneous:
    """Two halves of one data set one after the other, and straight lines between minima."""
    input:
        runs=STUDIES.outputs(
            "stability_gap",
            arm=[
                "halves_constant",
                "halves_restarted",
                "halves_low",
            ],
        )
        + STUDIES.outputs("stability_gap", arm="rotation_joint", lr=0.1),
        path="results/stability_gap/path.csv",
    output:
        report(
            "figures/stability_gap_homogeneous.pdf",
            category="stability_gap",
            caption="homogeneous.rst",
        ),
        multiext("figures/stability_gap_homogeneous", ".png", ".csv", ".json"),
    log:
        "logs/figures/stability_gap_homogeneous.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/stability_gap/plot_homogeneous.py"),
    script:
        "plot_homogeneous.py"


rule stability_gap_optimizer:
    """Depth and recovery of the gap against learning rate and momentum, and with Adam."""
    input:
        runs=STUDIES.outputs(
            "stability_gap",
            arm=["rotation_joint", "optimizer_m00", "optimizer_m05", "optimizer_adam"],
        ),
    output:
        report(
            "figures/stability_gap_optimizer.pdf",
            category="stability_gap",
            caption="optimizer.rst",
        ),
        multiext("figures/stability_gap_optimizer", ".png", ".csv", ".json"),
    log:
        "logs/figures/stability_gap_optimizer.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/stability_gap/plot_optimizer.py"),
    script:
        "plot_optimizer.py"


rule stability_gap_mitigation:
    """What cures leave of the gap, what they cost, and how all ends, on digits and on text."""
    input:
        runs=STUDIES.outputs(
            "stability_gap",
            arm=[
                *(
                    f"{scenario}_{method}{cure}"
                    for scenario in ("rotation", "classes")
                    for method in ("joint", "er")
                    for cure in ("", "_ramp", "_warmup")
                ),
                "rotation_joint_average",
                "classes_joint_average",
            ],
            lr=[0.03, 0.1, 0.3],
        )
        + STUDIES.outputs(
            "stability_gap",
            arm=["text_same", "text_joint", "text_joint_ramp", "text_joint_warmup"],
        ),
    output:
        report(
            "figures/stability_gap_mitigation.pdf",
            category="stability_gap",
            caption="mitigation.rst",
        ),
        multiext("figures/stability_gap_mitigation", ".png", ".csv", ".json"),
    log:
        "logs/figures/stability_gap_mitigation.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/stability_gap/plot_mitigation.py"),
    script:
        "plot_mitigation.py"


rule stability_gap_metrics:
    """Every metric of three methods on two chains of tasks at four evaluation periods, as a table."""
    input:
        runs=STUDIES.outputs(
            "stability_gap",
            arm=[
                "chain_joint",
                "chain_er",
                "chain_finetune",
                "pairs_joint",
                "pairs_er",
                "pairs_finetune",
            ],
        ),
    output:
        report(
            "figures/stability_gap_metrics.pdf",
            category="stability_gap",
            caption="metrics.rst",
        ),
        multiext("figures/stability_gap_metrics", ".png", ".csv", ".json"),
    log:
        "logs/figures/stability_gap_metrics.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/stability_gap/plot_metrics.py"),
    script:
        "plot_metrics.py"


rule stability_gap_measure_path:
    """Loss of both tasks on the straight line from before a switch to the end of the new task."""
    input:
        starts=[
            "results/stability_gap/first-rotation-lr0.1/state.safetensors",
            "results/stability_gap/first-halves-decayed/state.safetensors",
        ],
        ends=STUDIES.outputs(
            "stability_gap", "state.safetensors", arm="rotation_joint", lr=0.1
        )
        + STUDIES.outputs("stability_gap", "state.safetensors", arm="halves_restarted"),
    output:
        "results/stability_gap/path.csv",
    log:
        "logs/stability_gap/measure_path.log",
    conda:
        "../../envs/environment.yml"
    threads: 1
    params:
        code=provenance.script_digest("studies/stability_gap/measure_path.py"),
    script:
        "measure_path.py"
