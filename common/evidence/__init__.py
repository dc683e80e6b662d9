"""What runs say of a claim: intervals over seeds, verdicts, claims."""
