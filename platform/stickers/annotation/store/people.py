"""Who may choose: people with a role, their sign-in links and passwords, and the sessions that browsers hold.

Links, cookies and passwords are stored as hashes, so whoever reads the database cannot sign in. A link's token and a
cookie are 256 random bits, for which one round of SHA-256 is enough; passwords go through Argon2.
"""

import hashlib
import secrets
import time
import unicodedata
from dataclasses import dataclass
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from stickers.annotation.settings import ROLES, Role
from stickers.annotation.store.database import events, people, sessions
from stickers.errors import UserError

SESSION_SECONDS = 14 * 24 * 3600.0
LONGEST_NAME, SHORTEST_PASSWORD, LONGEST_PASSWORD = 60, 10, 200
_hasher = PasswordHasher()
#: what a password is compared with when nobody has that name, so that both answers take as long
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$" + "c29tZXNhbHRzb21lc2FsdA" + "$" + "A" * 43


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who may sign in."""

    name: str
    role: Role
    simulated: bool = False


@dataclass(frozen=True, kw_only=True)
class Session:
    """What a browser holds: `token` in a cookie, `csrf` in its pages."""

    person: Person
    csrf: str
    token: str = ""


def add_person(
    connection: Connection,
    name: str,
    role: str,
    *,
    password: str | None = None,
    simulated: bool = False,
    by: str = "",
) -> str:
    """Add somebody; returns the token of their sign-in link, which is stored nowhere.

    Raises:
        UserError: the name is taken or no name, the role or the password cannot be.
    """
    name = check_name(name)
    if role not in ROLES:
        raise UserError(f"there is no role {role!r}; roles: {', '.join(ROLES)}")
    token = secrets.token_urlsafe(32)
    values = {
        "name": name,
        "role": role,
        "password": hash_password(password) if password is not None else None,
        "link": _digest(token),
        "active": True,
        "simulated": simulated,
        "created_at": time.time(),
    }
    if connection.execute(select(people.c.name).where(people.c.name == name)).first():
        raise UserError(f"there is somebody of the name {name!r} already")
    try:
        connection.execute(insert(people), values)
    except IntegrityError:  # at the same moment
        raise UserError(f"there is somebody of the name {name!r} already") from None
    note(connection, by or name, "person added", {"name": name, "role": role, "simulated": simulated})
    return token


def check_name(name: str) -> str:
    """The name, as it is stored. UserError when it cannot be one."""
    name = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(name) <= LONGEST_NAME or any(unicodedata.category(each)[0] == "C" for each in name):
        raise UserError(f"a name has 1 to {LONGEST_NAME} printable characters, got {name[:80]!r}")
    return name


def hash_password(password: str) -> str:
    """UserError when it is too short or too long."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise UserError(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    return _hasher.hash(password)


def new_link(connection: Connection, name: str, by: str, *, keep_sessions: bool = False) -> str:
    """A new token for somebody's sign-in link; the one before leads nowhere, and their sessions end."""
    token = secrets.token_urlsafe(32)
    _change(connection, name, {"link": _digest(token)})
    if not keep_sessions:
        connection.execute(delete(sessions).where(sessions.c.name == name))
    note(connection, by, "new link", {"name": name})
    return token


def set_password(connection: Connection, name: str, password: str, by: str) -> None:
    _change(connection, name, {"password": hash_password(password)})
    connection.execute(delete(sessions).where(sessions.c.name == name))
    note(connection, by, "new password", {"name": name})


def set_active(connection: Connection, name: str, active: bool, by: str) -> None:
    """Let somebody sign in, or no more; their votes stay."""
    _change(connection, name, {"active": active})
    if not active:
        connection.execute(delete(sessions).where(sessions.c.name == name))
    note(connection, by, "person activated" if active else "person deactivated", {"name": name})


def _change(connection: Connection, name: str, values: dict[str, Any]) -> None:
    if not connection.execute(update(people).where(people.c.name == name).values(values)).rowcount:
        raise UserError(f"there is nobody of the name {name!r}")


def people_in(connection: Connection) -> list[Person]:
    """Everybody who was ever added, by name."""
    return [_person(row) for row in connection.execute(select(people).order_by(people.c.name)).mappings()]


def find_person(connection: Connection, *, token: str = "", name: str = "") -> tuple[Person | None, str]:
    """Whoever a sign-in link or a name belongs to, and the hash of their password; an unknown one gets a hash too."""
    key = people.c.link == _digest(token) if token else people.c.name == unicodedata.normalize("NFC", name)
    row = connection.execute(select(people).where(key, people.c.active)).mappings().first()
    if row is None:
        return None, _NOBODY
    return _person(row), row["password"] or _NOBODY


def verify(hashed: str, password: str) -> bool:
    """Whether a password is the one. It takes a tenth of a second on purpose; call it where nobody waits."""
    try:
        return _hasher.verify(hashed, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


def begin_session(connection: Connection, person: Person) -> Session:
    """A session for a person who has shown who they are."""
    token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    now = time.time()
    connection.execute(delete(sessions).where(sessions.c.expires_at < now))
    connection.execute(
        insert(sessions),
        {"token": _digest(token), "name": person.name, "csrf": csrf, "expires_at": now + SESSION_SECONDS},
    )
    return Session(person=person, csrf=csrf, token=token)


def find_session(connection: Connection, token: str) -> Session | None:
    """The session of a cookie, while it lasts and its person is active."""
    query = (
        select(people, sessions.c.csrf)
        .join(sessions, sessions.c.name == people.c.name)
        .where(sessions.c.token == _digest(token), people.c.active, sessions.c.expires_at > time.time())
    )
    row = connection.execute(query).mappings().first()
    return Session(person=_person(row), csrf=row["csrf"]) if row else None


def end_session(connection: Connection, token: str) -> None:
    connection.execute(delete(sessions).where(sessions.c.token == _digest(token)))


def note(connection: Connection, who: str, what: str, detail: dict[str, Any]) -> None:
    """Write into the trail what somebody did."""
    connection.execute(insert(events), {"at": time.time(), "who": who, "what": what, "detail": detail})


def _person(row: Any) -> Person:
    return Person(name=row["name"], role=row["role"], simulated=row["simulated"])


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
