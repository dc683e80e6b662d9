rule sharpness:
    """Every figure and verdict of the study sharpness."""
    input:
        STUDIES.figures("sharpness"),
        "results/sharpness/claims.json",


rule sharpness_eos:
    """Sharpness and loss of gradient descent at several learning rates, with the edge 2/lr of each."""
    input:
        runs=STUDIES.outputs("sharpness", arm="gd"),
    output:
        report("figures/sharpness_eos.pdf", category="sharpness", caption="eos.rst"),
        multiext("figures/sharpness_eos", ".png", ".csv", ".json"),
    log:
        "logs/figures/sharpness_eos.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/sharpness/plot_eos.py"),
    script:
        "plot_eos.py"
