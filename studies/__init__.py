"""The studies: one question, its runs, figures, measurements and claims in each folder."""
