"""
The ledger: by service and policy what placebos came to, whether the promise stands, and who lifted what.

It is one document in the store, written with the version that was read, so that it survives restarts and is the same
for every process. It is kept as an attempt of no release: every store keeps those, and every list leaves them out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from analysis import words
from analysis.honesty import Account, account_of
from analysis.types import Json
from webhook.errors import NotFound, StoreConflict
from webhook.ports import Store, Write
from webhook.releases import CANARY_ITSELF, Attempt, Phase
from webhook.schema.report import instant

NAMESPACE: Final = "*"
NAME: Final = "placebo"
NUMBER: Final = 1
TRIES: Final = 8
MOST: Final = 500
"""Services with a policy; beyond it those that were looked at longest ago are forgotten."""
LIFTS: Final = 10
"""Newest lifts that are kept of a service."""
CLAIM: Final = 900.0
"""Seconds after which a batch that was begun and never written counts as lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    One service under one policy.

    Parameters
    ----------
    namespace, name, policy, digest : str
        Of the service, and name and digest of the policy.
    account : Account
        The promise about aborts.
    outcomes : mapping of str to int
        How many placebos ended how, since the beginning.
    until : float
        End of the newest window that was looked at, unix seconds; no second is judged twice.
    changed : float
        When this entry was last written.
    broke : mapping or None
        While the promise is broken: ``at``, ``aborted``, ``placebos``.
    lifts : tuple of mapping
        ``at``, ``actor``, ``principal``, ``reason``, newest last.
    note : str
        Why the newest window made no placebo; empty if it made some.
    """

    namespace: str
    name: str
    policy: str
    digest: str
    account: Account
    outcomes: Mapping[str, int] = field(default_factory=dict)
    until: float = 0.0
    changed: float = 0.0
    broke: Mapping[str, Json] | None = None
    lifts: tuple[Mapping[str, Json], ...] = ()
    note: str = ""

    @property
    def key(self) -> str:
        """Return what tells it from others."""
        return f"{self.namespace}/{self.name}@{self.digest}"

    @property
    def service(self) -> str:
        """Return ``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    @property
    def dropped(self) -> bool:
        """Return whether the service is answered in ``advise`` because the promise does not hold there."""
        return self.account.broken

    @property
    def brief(self) -> str:
        """Return what broke the promise in a few words; empty while it is kept."""
        if self.broke is None:
            return ""
        return f"{words.count(self.broke['aborted'])} of {words.count(self.broke['placebos'])} placebos were aborted"

    @property
    def reason(self) -> str:
        """Return why the service is answered in ``advise``, one line; empty while it is not."""
        if self.broke is None:
            return ""
        promised = f"promised is {words.percent(self.account.alpha)} at most"
        return f"{self.brief} ({promised}): {self.service} is answered in advise since {instant(self.broke['at'])}"

    def counted(self, outcomes: Mapping[str, int], at: float, until: float) -> Entry:
        """Return the entry after one batch of placebos, by outcome; it may break the promise, or repair it."""
        placebos, aborted = sum(outcomes.values()), outcomes.get("aborted", 0)
        account = self.account.counted(aborted, placebos)
        broke = self.broke
        if account.broken and not self.account.broken:
            known = self.account
            broke = {"at": at, "aborted": known.aborted + aborted, "placebos": known.placebos + placebos}
        elif not account.broken:
            broke = None
        total = {name: self.outcomes.get(name, 0) + outcomes.get(name, 0) for name in {**self.outcomes, **outcomes}}
        return replace(self, account=account, outcomes=total, broke=broke, until=until, changed=at, note="")

    def lifted(self, word: Mapping[str, Json]) -> Entry:
        """Return the entry after an operator's word: the account begins anew, and may break again."""
        fresh = Account(alpha=self.account.alpha)
        return replace(self, account=fresh, broke=None, lifts=(*self.lifts, dict(word))[-LIFTS:], changed=word["at"])

    def document(self) -> dict[str, Json]:
        """Return the entry as JSON."""
        return {**asdict(self), "account": self.account.document(), "lifts": [dict(word) for word in self.lifts]}


def entry_of(document: Mapping[str, Json]) -> Entry:
    """Return the entry that `Entry.document` wrote."""
    known = dict(document)
    known["account"] = account_of(known["account"])
    known["lifts"] = tuple(known["lifts"])
    return Entry(**known)


class Ledger:
    """
    Reads and writes the ledger of one cluster.

    Parameters
    ----------
    store : Store
    cluster : str
    """

    def __init__(self, store: Store, cluster: str = "") -> None:
        self._store = store
        self._cluster = cluster

    def entries(self) -> list[Entry]:
        """Return every entry, in order of service and policy."""
        return sorted(self._read()[1].values(), key=lambda entry: (entry.service, entry.policy, entry.digest))

    def entry(self, namespace: str, name: str, digest: str) -> Entry | None:
        """Return one entry, or None."""
        return self._read()[1].get(f"{namespace}/{name}@{digest}")

    def claim(self, at: float) -> bool:
        """Return whether the caller may begin a batch: one at a time, over all processes that share the store."""
        document, entries = self._read()
        claimed = document.get("claimed")
        if claimed is not None and at - float(claimed) < CLAIM:
            return False
        try:
            self._write({**document, "claimed": at}, entries)
        except StoreConflict:
            return False
        return True

    def finish(self, entry: Entry | None) -> None:
        """Write what a batch came to, and let the next one begin."""
        self._change(lambda document, entries: ({**document, "claimed": None}, _with(entries, entry)))

    def lift(self, namespace: str, name: str, word: Mapping[str, Json]) -> list[Entry]:
        """
        Return the entries of a service that were dropped, lifted by an operator's ``word``.

        Raises
        ------
        NotFound
            Nothing of this service is dropped.
        """
        lifted: list[Entry] = []

        def change(document: dict[str, Json], entries: dict[str, Entry]) -> tuple[dict[str, Json], dict[str, Entry]]:
            mine = [e for e in entries.values() if (e.namespace, e.name) == (namespace, name) and e.dropped]
            if not mine:
                raise NotFound(f"no policy of {namespace}/{name} is answered in advise because of its placebos")
            lifted[:] = [entry.lifted(word) for entry in mine]
            return document, {**entries, **{entry.key: entry for entry in lifted}}

        self._change(change)
        return lifted

    def _change(
        self,
        change: Callable[[dict[str, Json], dict[str, Entry]], tuple[dict[str, Json], dict[str, Entry]]],
    ) -> None:
        for attempt in range(TRIES):
            try:
                self._write(*change(*self._read()))
            except StoreConflict:
                if attempt == TRIES - 1:
                    raise
            else:
                return

    def _read(self) -> tuple[dict[str, Json], dict[str, Entry]]:
        release = (self._cluster, NAMESPACE, NAME, CANARY_ITSELF)
        document = self._store.attempt(release, NUMBER)
        if document is None:
            empty = Attempt(
                cluster=self._cluster, namespace=NAMESPACE, name=NAME, revision=CANARY_ITSELF, attempt=NUMBER,
                phase=Phase.PROMOTED.value,
            )  # fmt: skip
            return {**empty.document(), "ledger": []}, {}
        entries = [entry_of(found) for found in document["ledger"]]
        return document, {entry.key: entry for entry in entries}

    def _write(self, document: Mapping[str, Json], entries: Mapping[str, Entry]) -> None:
        newest = sorted(entries.values(), key=lambda entry: entry.changed)[-MOST:]
        self._store.write(Write(attempt={**document, "ledger": [entry.document() for entry in newest]}))


def _with(entries: dict[str, Entry], entry: Entry | None) -> dict[str, Entry]:
    """Return the entries with one of them as it now is; a lift that came meanwhile is kept."""
    if entry is None:
        return entries
    known = entries.get(entry.key)
    if known is not None and known.lifts and known.lifts != entry.lifts:
        entry = replace(known, until=entry.until, outcomes=entry.outcomes, changed=entry.changed)
    return {**entries, entry.key: entry}
