"""A Ray Data actor that checks finished candidates on a CPU, beside the teachers."""

import pyarrow as pa

from stickers.artifacts.records import Candidate
from stickers.artifacts.schema import records_of, table_of
from stickers.candidates.scoring import score


class Scorer:
    """Takes and returns Arrow tables of candidates, with as many rows in the same order."""

    def __call__(self, table: pa.Table) -> pa.Table:
        """Score every candidate of the table."""
        return table_of([score(candidate) for candidate in records_of(table, Candidate)], Candidate)
