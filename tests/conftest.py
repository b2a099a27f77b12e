"""Settings that must stand before Ray is first imported.

Ray reads RAY_AUTH_MODE once, at import, and otherwise decides by what earlier runs left in the home folder. With a
token of its own a test neither depends on that nor leaves anything behind.
"""

import os
import secrets

os.environ["RAY_AUTH_MODE"] = "token"
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
