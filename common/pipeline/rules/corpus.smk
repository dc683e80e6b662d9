rule corpus:
    """Build a byte corpus from the installed packages."""
    output:
        train="results/data/{corpus}/train.bin",
        validation="results/data/{corpus}/validation.bin",
        manifest="results/data/{corpus}/manifest.json",
    log:
        "logs/data/{corpus}.log",
    localrule: True
    conda:
        "../../../envs/environment.yml"
    threads: 1
    params:
        scale=STUDIES.scale,
        pins=provenance.pins(
            "jinja2",
            "matplotlib",
            "mlflow",
            "networkx",
            "numpy",
            "pandas",
            "pyparsing",
            "scikit-learn",
            "scipy",
            "seaborn",
            "torch",
            "werkzeug",
        ),
        code=provenance.later("common.data.corpora"),
    script:
        "corpus.py"


use rule corpus as masked_corpus with:
    output:
        train="results/data/{corpus}/train.bin",
        train_mask="results/data/{corpus}/train.mask",
        validation="results/data/{corpus}/validation.bin",
        validation_mask="results/data/{corpus}/validation.mask",
        manifest="results/data/{corpus}/manifest.json",
    wildcard_constraints:
        corpus="documented",


ruleorder: masked_corpus > corpus
