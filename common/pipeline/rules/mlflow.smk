rule mlflow:
    """Rebuild the MLflow store from the records in results/."""
    log:
        "logs/mlflow.log",
    localrule: True
    conda:
        "../../../envs/environment.yml"
    script:
        "rebuild.py"
