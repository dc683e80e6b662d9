rule corpus:
    """Build a byte corpus from the installed packages."""
    output:
        train="results/data/{corpus}/train.bin",
        validation="results/data/{corpus}/validation.bin",
        manifest="results/data/{corpus}/manifest.json",
    log:
        "logs/data/{corpus}.log",
    conda:
        "../../envs/environment.yml"
    threads: 1
    params:
        scale=STUDIES.scale,
        pins=provenance.pins(
            "matplotlib", "mlflow", "numpy", "pandas", "scikit-learn", "scipy", "torch"
        ),
        code=provenance.script_digest("common/data/corpora.py"),
    script:
        "corpus.py"
