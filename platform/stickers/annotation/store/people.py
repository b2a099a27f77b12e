"""Who may choose: people with a role, their sign-in links and passwords, and the sessions of their browsers.

Links, cookies and passwords are stored as hashes, so reading the database does not let anybody sign in. Tokens of links
and cookies are 256 random bits, for which one round of SHA-256 is enough; passwords are hashed with Argon2.
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
TOKEN_BYTES = 32
#: characters of a name that is refused which the error repeats
NAME_SHOWN = 80
_hasher = PasswordHasher()
#: a password is compared with this when nobody has the name, so that both cases take equally long
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$" + "c29tZXNhbHRzb21lc2FsdA" + "$" + "A" * 43


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who may sign in."""

    name: str
    role: Role
    simulated: bool = False


@dataclass(frozen=True, kw_only=True)
class Session:
    """The session of a browser, which holds `token` in a cookie and `csrf` in its pages."""

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
    """Add a person; returns the token of their sign-in link, which is stored nowhere.

    Raises:
        UserError: the name is taken, or name, role or password are not accepted.
    """
    name = check_name(name)
    if role not in ROLES:
        raise UserError(f"there is no role {role!r}; roles: {', '.join(ROLES)}")
    token = secrets.token_urlsafe(TOKEN_BYTES)
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
    except IntegrityError:  # added by somebody else at the same moment
        raise UserError(f"there is somebody of the name {name!r} already") from None
    note(connection, by or name, "person added", {"name": name, "role": role, "simulated": simulated})
    return token


def check_name(name: str) -> str:
    """The name as it is stored. UserError: it is not accepted."""
    name = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(name) <= LONGEST_NAME or any(unicodedata.category(letter)[0] == "C" for letter in name):
        raise UserError(f"a name has 1 to {LONGEST_NAME} printable characters, got {name[:NAME_SHOWN]!r}")
    return name


def hash_password(password: str) -> str:
    """The Argon2 hash of a password. UserError: it is too short or too long."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise UserError(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    return _hasher.hash(password)


def new_link(connection: Connection, name: str, by: str, *, keep_sessions: bool = False) -> str:
    """A new token for a person's sign-in link. The old link stops working, and their sessions end.

    Raises:
        UserError: nobody has that name.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    _change(connection, name, {"link": _digest(token)})
    if not keep_sessions:
        connection.execute(delete(sessions).where(sessions.c.name == name))
    note(connection, by, "new link", {"name": name})
    return token


def set_password(connection: Connection, name: str, password: str, by: str) -> None:
    """Change a person's password and end their sessions. UserError: nobody has that name, or the length is wrong."""
    _change(connection, name, {"password": hash_password(password)})
    connection.execute(delete(sessions).where(sessions.c.name == name))
    note(connection, by, "new password", {"name": name})


def set_active(connection: Connection, name: str, active: bool, by: str) -> None:
    """Allow or forbid a person to sign in; their votes stay. UserError: nobody has that name."""
    _change(connection, name, {"active": active})
    if not active:
        connection.execute(delete(sessions).where(sessions.c.name == name))
    note(connection, by, "person activated" if active else "person deactivated", {"name": name})


def _change(connection: Connection, name: str, values: dict[str, Any]) -> None:
    if not connection.execute(update(people).where(people.c.name == name).values(values)).rowcount:
        raise UserError(f"there is nobody of the name {name!r}")


def people_in(connection: Connection) -> list[Person]:
    """Everybody who was ever added, sorted by name."""
    return [_person(row) for row in connection.execute(select(people).order_by(people.c.name)).mappings()]


def find_person(connection: Connection, *, token: str = "", name: str = "") -> tuple[Person | None, str]:
    """The active person with that link or name, and their password's hash; for nobody, a hash that never matches."""
    key = people.c.link == _digest(token) if token else people.c.name == unicodedata.normalize("NFC", name)
    row = connection.execute(select(people).where(key, people.c.active)).mappings().first()
    if row is None:
        return None, _NOBODY
    return _person(row), row["password"] or _NOBODY


def verify(hashed: str, password: str) -> bool:
    """Whether a password matches its hash. It takes a tenth of a second on purpose, so call it in a thread."""
    try:
        return _hasher.verify(hashed, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


def begin_session(connection: Connection, person: Person) -> Session:
    """A new session for a person who has proved who they are."""
    token, csrf = secrets.token_urlsafe(TOKEN_BYTES), secrets.token_urlsafe(TOKEN_BYTES)
    now = time.time()
    connection.execute(delete(sessions).where(sessions.c.expires_at < now))
    connection.execute(
        insert(sessions),
        {"token": _digest(token), "name": person.name, "csrf": csrf, "expires_at": now + SESSION_SECONDS},
    )
    return Session(person=person, csrf=csrf, token=token)


def find_session(connection: Connection, token: str) -> Session | None:
    """The session of a cookie; None once it has expired or its person may not sign in."""
    query = (
        select(people, sessions.c.csrf)
        .join(sessions, sessions.c.name == people.c.name)
        .where(sessions.c.token == _digest(token), people.c.active, sessions.c.expires_at > time.time())
    )
    row = connection.execute(query).mappings().first()
    return Session(person=_person(row), csrf=row["csrf"]) if row else None


def end_session(connection: Connection, token: str) -> None:
    """End the session of a cookie."""
    connection.execute(delete(sessions).where(sessions.c.token == _digest(token)))


def note(connection: Connection, who: str, action: str, detail: dict[str, Any]) -> None:
    """Write into the log of events what somebody did."""
    connection.execute(insert(events), {"at": time.time(), "who": who, "what": action, "detail": detail})


def _person(row: Any) -> Person:
    return Person(name=row["name"], role=row["role"], simulated=row["simulated"])


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
