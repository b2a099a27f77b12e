"""A Ray Data actor that looks at finished candidates on a CPU, beside the teachers."""

import pyarrow as pa

from stickers.artifacts.records import Candidate
from stickers.artifacts.schema import records_of, table_of
from stickers.candidates.scoring import score


class Scorer:
    """Takes and gives Arrow tables of candidates, as many and in the same order."""

    def __call__(self, table: pa.Table) -> pa.Table:
        return table_of([score(each) for each in records_of(table, Candidate)], Candidate)
