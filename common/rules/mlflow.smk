rule mlflow:
    """Rebuild the MLflow store from the records in results/."""
    log:
        "logs/mlflow.log",
    script:
        "rebuild.py"
