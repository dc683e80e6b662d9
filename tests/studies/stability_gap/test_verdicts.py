"""The package of verdicts offers the function of every claim."""

from studies.stability_gap import verdicts
from studies.stability_gap.claims import CLAIMS


def test_each_claim_has_its_function_and_each_function_its_claim():
    assert sorted(claim.verdict for claim in CLAIMS) == sorted(verdicts.__all__)
    assert all(callable(getattr(verdicts, claim.verdict)) for claim in CLAIMS)
