"""Who brought which licence. Records carry a map from what was brought in to its licence; the maps of all inputs are
joined, so an exported student names the licence of every collection, foundation and sticker table behind it."""

from collections.abc import Mapping

#: of what nobody has stated
NOT_STATED = "not stated"
#: the key of records, and the prefix of a collection's name in it
LICENCES, COLLECTION = "licences", "collection "


def named_collections(licences: Mapping[str, str]) -> dict[str, str]:
    """What a prepared set's record says by collection, as records further down the path say it."""
    return {f"{COLLECTION}{name}": licence for name, licence in licences.items()}


def by_licence(licences: Mapping[str, str]) -> dict[str, list[str]]:
    """The distinct licences, sorted, each with who brought it."""
    bringers: dict[str, list[str]] = {}
    for name, licence in sorted(licences.items()):
        bringers.setdefault(licence or NOT_STATED, []).append(name)
    return dict(sorted(bringers.items()))


def in_words(licences: Mapping[str, str]) -> str:
    """The distinct licences with who brought them, in one line."""
    parts = (f"{licence} ({', '.join(names)})" for licence, names in by_licence(licences).items())
    return "; ".join(parts) or NOT_STATED
