"""The names of a folder's files, listed once and kept beside a run.

Listing a folder of 123,287 files takes a network file system minutes, and every start of a run
would pay for it.
"""

import json
import os
import time
from contextlib import suppress
from pathlib import Path

from lib.errors import InputError
from lib.files import replacing

INDEX_FILE = "feature_index.json"
# A folder's time stamp says nothing about a file that came within its resolution (network file
# systems: a second) after the listing. Such a listing is made again.
RESOLUTION = 2_000_000_000  # ns


class FolderIndex:
    """Listings of folders, each trusted as long as its folder has not changed since."""

    def __init__(self, cache: Path | None = None):
        """Read listings from ``cache``, a file that need not exist; None keeps nothing."""
        self.cache = cache
        self.notes: list[str] = []  # what was found stale, for the reader
        self._listings: dict[str, dict] = {}
        self._changed = False
        if cache is not None and cache.is_file():
            try:
                listings = json.loads(cache.read_text(encoding="utf-8"))
                self._listings = {
                    str(folder): {
                        "modified": int(listing["modified"]),
                        "listed": int(listing["listed"]),
                        "names": [str(name) for name in listing["names"]],
                    }
                    for folder, listing in listings.items()
                }
            except (OSError, ValueError, TypeError, KeyError, AttributeError):
                self.notes.append(f"{cache}: is damaged; folders are listed again")

    def names(self, folder: Path) -> frozenset[str]:
        """Names of all files in ``folder``.

        Raises:
            InputError: no such folder, or it may not be read.
        """
        try:
            key, modified = str(folder.resolve()), folder.stat().st_mtime_ns
            if not folder.is_dir():
                raise NotADirectoryError
            known = self._listings.get(key)
            if known and known["modified"] == modified < known["listed"] - RESOLUTION:
                return frozenset(known["names"])
            if known and known["modified"] != modified:
                self.notes.append(f"{folder}: changed since {self.cache} was written; listed again")
            listed = time.time_ns()
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(f"{folder}: no such folder of features") from None
        except OSError as error:
            raise InputError(f"{folder}: cannot be listed ({error})") from error
        self._listings[key] = {"modified": modified, "listed": listed, "names": names}
        self._changed = True
        return frozenset(names)

    def save(self) -> None:
        """Write new listings to the cache; a place that cannot be written to costs time alone."""
        if self.cache is not None and self._changed:
            with suppress(InputError), replacing(self.cache) as temporary:
                temporary.write_text(json.dumps(self._listings), encoding="utf-8")
