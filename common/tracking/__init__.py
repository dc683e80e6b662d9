"""MLflow as a mirror of the files in results/.

Nothing is ever read back from MLflow: the files decide, and `mirror` brings the store to what they say, however often
it is called and wherever it was killed. A point's timestamp is the start of its run plus its step, so that sending it
twice leaves one point; the tag `mirrored` is written last and says which bytes have arrived.

The default store is `mlflow.db` with `mlartifacts/` beside the results folder, one for each `--directory`: there
`mlflow ui` finds them without options, scales keep apart, and removing both loses nothing. The environment variable
MLFLOW_TRACKING_URI names another store.

`record` reads the files of a run, `summary` those of a study; `store` sends them (it alone imports mlflow), `follow`
says when. `python -m common.tracking --help` lists the commands.
"""

from common.tracking.follow import mirror, rebuild, watch
from common.tracking.store import prepare_store

__all__ = ["mirror", "prepare_store", "rebuild", "watch"]
