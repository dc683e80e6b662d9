rule lr_transfer:
    """Every figure and verdict of the study lr_transfer."""
    input:
        STUDIES.figures("lr_transfer"),
        "results/lr_transfer/claims.json",


rule lr_transfer_width:
    """Final loss against learning rate at several widths, for every parametrization."""
    input:
        runs=STUDIES.outputs("lr_transfer", arm=["sgd_mse", "sgd_ce", "adam"]),
    output:
        report(
            "figures/lr_transfer_width.pdf",
            category="lr_transfer",
            caption="width.rst",
        ),
        multiext("figures/lr_transfer_width", ".png", ".csv", ".json"),
    log:
        "logs/figures/lr_transfer_width.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/lr_transfer/plot_width.py"),
    script:
        "plot_width.py"


rule lr_transfer_adam:
    """Adam on MLPs and byte transformers, and its preconditioned sharpness."""
    input:
        runs=STUDIES.outputs("lr_transfer", arm=["adam", "text", "adam_curve"]),
    output:
        report(
            "figures/lr_transfer_adam.pdf",
            category="lr_transfer",
            caption="adam.rst",
        ),
        multiext("figures/lr_transfer_adam", ".png", ".csv", ".json"),
    log:
        "logs/figures/lr_transfer_adam.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/lr_transfer/plot_adam.py"),
    script:
        "plot_adam.py"


rule lr_transfer_depth:
    """Final loss against learning rate, and sharpness along training, at several depths."""
    input:
        runs=STUDIES.outputs(
            "lr_transfer",
            arm=[
                "depth_half_k1",
                "depth_half_k2",
                "depth_none_k1",
                "deep_half_k1",
                "deep_half_k2",
                "deep_none_k1",
            ],
        ),
    output:
        report(
            "figures/lr_transfer_depth.pdf",
            category="lr_transfer",
            caption="depth.rst",
        ),
        multiext("figures/lr_transfer_depth", ".png", ".csv", ".json"),
    log:
        "logs/figures/lr_transfer_depth.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/lr_transfer/plot_depth.py"),
    script:
        "plot_depth.py"


rule lr_transfer_sharpness_width:
    """Effective sharpness and loss of full-batch descent at several widths."""
    input:
        runs=STUDIES.outputs("lr_transfer", arm=["curve", "quiet"]),
    output:
        report(
            "figures/lr_transfer_sharpness_width.pdf",
            category="lr_transfer",
            caption="sharpness_width.rst",
        ),
        multiext("figures/lr_transfer_sharpness_width", ".png", ".csv", ".json"),
    log:
        "logs/figures/lr_transfer_sharpness_width.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/lr_transfer/plot_sharpness_width.py"),
    script:
        "plot_sharpness_width.py"


rule lr_transfer_spectrum:
    """Largest eigenvalues of the effective Hessian and kernel along training."""
    input:
        spectrum="results/lr_transfer/spectrum.csv",
        runs=STUDIES.outputs("lr_transfer", arm="curve"),
    output:
        report(
            "figures/lr_transfer_spectrum.pdf",
            category="lr_transfer",
            caption="spectrum.rst",
        ),
        multiext("figures/lr_transfer_spectrum", ".png", ".csv", ".json"),
    log:
        "logs/figures/lr_transfer_spectrum.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/lr_transfer/plot_spectrum.py"),
    script:
        "plot_spectrum.py"


rule lr_transfer_convergence:
    """Error of finite widths against the widest along training."""
    input:
        spectrum="results/lr_transfer/spectrum.csv",
        runs=STUDIES.outputs("lr_transfer", arm=["curve", "quiet"]),
    output:
        report(
            "figures/lr_transfer_convergence.pdf",
            category="lr_transfer",
            caption="convergence.rst",
        ),
        multiext("figures/lr_transfer_convergence", ".png", ".csv", ".json"),
    log:
        "logs/figures/lr_transfer_convergence.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/lr_transfer/plot_convergence.py"),
    script:
        "plot_convergence.py"


rule lr_transfer_alignment:
    """Share of the gradient in the top eigenspace of the effective Hessian."""
    input:
        spectrum="results/lr_transfer/spectrum.csv",
        runs=STUDIES.outputs("lr_transfer", arm="curve"),
    output:
        report(
            "figures/lr_transfer_alignment.pdf",
            category="lr_transfer",
            caption="alignment.rst",
        ),
        multiext("figures/lr_transfer_alignment", ".png", ".csv", ".json"),
    log:
        "logs/figures/lr_transfer_alignment.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/lr_transfer/plot_alignment.py"),
    script:
        "plot_alignment.py"


rule lr_transfer_linear_gr:
    """Gauss-Newton and residual part of the Hessian of linear networks of several widths along descent."""
    input:
        linear="results/lr_transfer/linear.csv",
    output:
        report(
            "figures/lr_transfer_linear_gr.pdf",
            category="lr_transfer",
            caption="linear_gr.rst",
        ),
        multiext("figures/lr_transfer_linear_gr", ".png", ".csv", ".json"),
    log:
        "logs/figures/lr_transfer_linear_gr.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/lr_transfer/plot_linear_gr.py"),
    script:
        "plot_linear_gr.py"


rule lr_transfer_coord_check:
    """Change of each layer's outputs after three updates against width, for every parametrization."""
    input:
        coordinates="results/lr_transfer/coordinates.csv",
    output:
        report(
            "figures/lr_transfer_coord_check.pdf",
            category="lr_transfer",
            caption="coord_check.rst",
        ),
        multiext("figures/lr_transfer_coord_check", ".png", ".csv", ".json"),
    log:
        "logs/figures/lr_transfer_coord_check.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/lr_transfer/plot_coord_check.py"),
    script:
        "plot_coord_check.py"


rule lr_transfer_measure_coordinates:
    """Sizes of activations and of their change in the first updates, by width and parametrization."""
    output:
        "results/lr_transfer/coordinates.csv",
    log:
        "logs/lr_transfer/measure_coordinates.log",
    conda:
        "../../envs/environment.yml"
    threads: 1
    params:
        code=provenance.script_digest("studies/lr_transfer/measure_coordinates.py"),
    script:
        "measure_coordinates.py"


rule lr_transfer_measure_linear:
    """Largest eigenvalues of the Hessian and its two parts along descent of linear networks."""
    output:
        "results/lr_transfer/linear.csv",
    log:
        "logs/lr_transfer/measure_linear.log",
    conda:
        "../../envs/environment.yml"
    threads: 1
    params:
        code=provenance.script_digest("studies/lr_transfer/measure_linear.py"),
    script:
        "measure_linear.py"


rule lr_transfer_measure_spectrum:
    """Largest eigenvalues of the effective Hessian and kernel, trace and alignment of kept states."""
    input:
        STUDIES.outputs("lr_transfer", "state.safetensors", arm="curve"),
    output:
        "results/lr_transfer/spectrum.csv",
    log:
        "logs/lr_transfer/measure_spectrum.log",
    conda:
        "../../envs/environment.yml"
    threads: 1
    params:
        code=provenance.script_digest("studies/lr_transfer/measure_spectrum.py"),
    script:
        "measure_spectrum.py"
