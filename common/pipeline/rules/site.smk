rule site:
    """Pages of every claim, study and run, in site/."""
    input:
        expand("results/{study}/claims.json", study=STUDIES),
        STUDIES.figures(),
    log:
        "logs/site.log",
    localrule: True
    conda:
        "../../../envs/environment.yml"
    params:
        out="site",
    script:
        "pages.py"
