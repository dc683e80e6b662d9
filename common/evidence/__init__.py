"""What runs say of a claim: intervals over seeds, readings, verdicts, registration, replication, a ladder of sizes."""
