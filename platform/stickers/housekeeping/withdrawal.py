"""Withdrawal of a video, a sticker or a person's votes: everything that descends from it, and what becomes of each.

A withdrawal is a list of steps, one for each artifact that it concerns. The list is the table that people see, and
carrying it out is running the steps in order. Each may run again, so an interrupted withdrawal is repeated whole.
Finished artifacts are never written again but for this; files are replaced by new ones in one move, or removed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from stickers import storage
from stickers.housekeeping.lineage import TRAININGS, Lineage, Reference
from stickers.housekeeping.withdrawn import MARK, Request, mark

REMOVED, ROWS_REMOVED, LEARNED, REMAINS = "removed", "rows removed", "learned from it", "stays"
#: pages in a runs folder that may show a sticker, and who writes them again
PAGES = {
    "report.html": "experiments/report.py",
    "report.png": "experiments/report.py",
    "teachers.html": "experiments/select_teachers.py",
}
#: what can be made again, or judged again, where it learned from what is withdrawn
MARKED = ("plans", "kept", *TRAININGS, "exported", "evaluation")


@dataclass(frozen=True, kw_only=True)
class WithdrawalStep:
    """What becomes of one artifact; `effect` is one of `REMOVED`, `ROWS_REMOVED`, `LEARNED` and `REMAINS`."""

    kind: str
    artifact: str
    effect: str
    detail: str
    act: Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Withdrawal:
    """What is withdrawn and the steps that it takes. `learned` come first, so that what is marked is known even when
    the data that led to it are gone."""

    request: Request
    steps: Sequence[WithdrawalStep]

    @property
    def learned(self) -> list[str]:
        """The artifacts that learned from it, as `kind/folder`."""
        return [f"{step.kind}/{step.artifact}" for step in self.steps if step.effect == LEARNED]


def carry_out(runs: str, withdrawal: Withdrawal, steps: Iterable[WithdrawalStep]) -> str:
    """Run the steps and write the record; what was interrupted is carried out by asking for the same again.

    Args:
        steps: those of the withdrawal, and further ones of the caller's.

    Returns:
        The folder of the withdrawal.
    """
    request = replace(withdrawal.request, learned=tuple(withdrawal.learned)).begin(runs)
    rows = []
    for step in steps:
        step.act()
        rows.append({name: getattr(step, name) for name in ("kind", "artifact", "effect", "detail")})
    folder = request.folder(runs)
    if not storage.exists(storage.join(folder, storage.RECORD)):
        facts = {"kind": "withdrawal", "subject": request.subject, "reason": request.reason, "steps": rows}
        storage.write_record(folder, facts)
    return folder


def nothing() -> None:
    """The step of what stays."""


def learned_steps(
    lineage: Lineage, request: Request, direct: Iterable[Reference], touched: Iterable[Reference] = ()
) -> Iterator[WithdrawalStep]:
    """Marks on `direct` and on everything that was made from them, and on what an interrupted call has noted before.

    Args:
        touched: artifacts that lose parts and have a step of their own.
    """
    before = {Reference(*name.split("/", 1)) for name in request.learned} & lineage.artifacts.keys()
    affected = lineage.made_from(direct) | before
    for reference in sorted(affected - set(touched), key=lambda row: (MARKED_ORDER.get(row.kind, 0), row)):
        if reference.kind in MARKED:
            uri = lineage.artifacts[reference].uri
            yield WithdrawalStep(
                kind=reference.kind,
                artifact=reference.folder,
                effect=LEARNED,
                detail="it can be made again without",
                act=partial(mark, uri, reference.kind, request, touched=False),
            )


MARKED_ORDER = {kind: number for number, kind in enumerate(MARKED)}


def marking(uri: str, kind: str, request: Request, act: Callable[[], None]) -> Callable[[], None]:
    """Mark an artifact as one that lost parts, then remove them."""

    def marked_act() -> None:
        mark(uri, kind, request, touched=True)
        act()

    return marked_act


def remove_all(uris: Sequence[str]) -> None:
    """Remove files and folders; what is gone already is no fault."""
    for uri in uris:
        if storage.exists(uri):
            storage.remove(uri)


def remove_data(artifact: str) -> None:
    """Remove everything of an artifact but its record and mark, which tell what it was."""
    remove_all(
        [uri for uri in storage.listing(artifact) if not uri.endswith((f"/{storage.RECORD}", f"/{MARK}"))]
    )


def page_steps(runs: str) -> Iterator[WithdrawalStep]:
    """The pages that may show what is withdrawn."""
    for page, maker in PAGES.items():
        uri = storage.join(runs, page)
        if storage.exists(uri):
            yield WithdrawalStep(
                kind="page",
                artifact=page,
                effect=REMOVED,
                detail=f"{maker} writes it again",
                act=partial(remove_all, [uri]),
            )
