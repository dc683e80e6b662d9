rule wsd:
    """Every figure and verdict of the study wsd."""
    input:
        STUDIES.figures("wsd"),
        "results/wsd/claims.json",


rule wsd_loss:
    """Validation loss of WSD against oracle cosine, and of constant learning rates with their decays."""
    input:
        runs=STUDIES.outputs("wsd", arm=["stable", "wsd", "cosine"]),
    output:
        report("figures/wsd_loss.pdf", category="wsd", caption="loss.rst"),
        multiext("figures/wsd_loss", ".png", ".csv", ".json"),
    log:
        "logs/figures/wsd_loss.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/wsd/plot_loss.py"),
    script:
        "plot_loss.py"
