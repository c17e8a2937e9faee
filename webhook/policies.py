"""
The policies in force: a folder of files, read again when it changed, and the presets that come along.

A new version that cannot be read leaves the old one in force, and `Policies.problems` says so.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path

from analysis.policy import JUDGED, Policy
from analysis.types import Json
from webhook.errors import UnknownPolicy
from webhook.schema import documents
from webhook.schema import policy as wire
from webhook.schema.problems import PolicyProblems, Problem, did_you_mean, shown

SUFFIXES = (".yaml", ".yml", ".json")
CHECK_EVERY = 2.0
"""Seconds between two looks at the folder: a few stat calls each."""
DEFAULT_PRESET = "http_requests_total"

_Stamp = tuple[int, int, int]  # what changes when a file does: time in ns, size, inode


@functools.cache
def presets() -> Mapping[str, Mapping[str, Json]]:
    """Return the shipped presets by name, as parsed: policies without ``apiVersion`` and ``name``."""
    folder = resources.files("webhook") / "presets"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return {file.name.removesuffix(".yaml"): documents.parse(file.read_bytes(), file.name) for file in files}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folder:
    """One reading of the folder: file names to policies, and what was wrong."""

    stamps: Mapping[str, _Stamp]
    files: Mapping[str, Policy]
    problems: tuple[Problem, ...]

    def by_name(self) -> dict[str, Policy]:
        return {policy.name: policy for policy in self.files.values()}


class Policies:
    """
    Policies by name and by release; safe to share between threads.

    Parameters
    ----------
    folder : Path or None
        Holds ``*.yaml``, ``*.yml`` and ``*.json``, one policy each; names that begin with a dot are not read.
    default : str or None
        Name of the policy for releases that name none and match none; ``None``: the preset `DEFAULT_PRESET`.
    clock : callable
        Returns seconds that only rise; says when to look at the folder again.
    """

    def __init__(self, folder: Path | None, *, default: str | None = None, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._default = default
        self._clock = clock
        self._lock = threading.Lock()
        self._seen = clock()
        self._read = _read(folder, _Folder(stamps={}, files={}, problems=()))

    def all(self) -> tuple[Policy, ...]:
        """Return the policies of the folder in order of their names."""
        return tuple(policy for _, policy in sorted(self._current().by_name().items()))

    def problems(self) -> tuple[Problem, ...]:
        """Return what is wrong in the folder now: file, place, rule and value. Old versions stay in force."""
        current = self._current()
        if self._default is None or self._default in current.by_name():
            return current.problems
        return (*current.problems, Problem(place="", rule=f"the default policy {self._default!r} does not exist"))

    def find(self, name: str) -> Policy:
        """Return the policy called ``name``; raise `UnknownPolicy` if there is none."""
        known = self._current().by_name()
        if name not in known:
            raise UnknownPolicy(f"no policy is called {shown(name)}{did_you_mean(name, known)}", "/policy")
        return known[name]

    def match(self, namespace: str, name: str) -> Policy | None:
        """
        Return the policy whose ``match`` fits a release best, or None.

        The pattern with more exact parts wins, then the one with more literal characters, then the policy whose
        name comes first.
        """
        fitting = [
            (_exactness(pattern), policy)
            for policy in self.all()
            for pattern in policy.match
            if fnmatchcase(namespace, pattern[0]) and fnmatchcase(name, pattern[1])
        ]
        return max(fitting, key=lambda found: found[0])[1] if fitting else None

    def default(self) -> Policy:
        """Return the policy for a release that nobody else covers; raise `UnknownPolicy` if its name is unknown."""
        return self.find(self._default) if self._default is not None else _built_in()

    @staticmethod
    def inline(content: Mapping[str, Json]) -> Policy:
        """
        Return the policy that stands in a request; ``apiVersion`` and ``name`` (``inline``) may be left out.

        Raises
        ------
        PolicyProblems
            Everything that is wrong with it, with places inside the policy.
        """
        usual = {"apiVersion": wire.API_VERSION, "name": "inline"}
        return wire.read(usual | dict(content), presets())

    def _current(self) -> _Folder:
        now = self._clock()
        if now - self._seen >= CHECK_EVERY and self._lock.acquire(blocking=False):
            try:
                self._seen = now
                if self._folder is not None and _stamps(self._folder) != self._read.stamps:
                    self._read = _read(self._folder, self._read)
            finally:
                self._lock.release()
        return self._read


@functools.cache
def _built_in() -> Policy:
    content = {"apiVersion": wire.API_VERSION, "name": "default", "preset": DEFAULT_PRESET}
    return wire.read(content, presets())


def _exactness(pattern: tuple[str, str]) -> tuple[int, int]:
    literal = [sum(letter not in "*?[]" for letter in part) for part in pattern]
    return sum(count == len(part) for count, part in zip(literal, pattern, strict=True)), sum(literal)


def _stamps(folder: Path) -> dict[str, _Stamp]:
    """Return what tells the files of a folder from later versions; links (a ConfigMap's) are followed."""
    found: dict[str, _Stamp] = {}
    try:
        for path in sorted(folder.iterdir()):
            if path.suffix in SUFFIXES and not path.name.startswith(".") and path.is_file():
                status = path.stat()
                found[path.name] = (status.st_mtime_ns, status.st_size, status.st_ino)
    except OSError:
        return {"": (0, 0, 0)}
    return found


def _read(folder: Path | None, old: _Folder) -> _Folder:
    """Return the folder as it is now; what cannot be read stays as ``old`` had it."""
    if folder is None:
        return old
    stamps = _stamps(folder)
    if "" in stamps:
        gone = Problem(place="", rule="the folder of policies cannot be read", file=folder.name)
        return _Folder(stamps=stamps, files=old.files, problems=(gone,))
    problems: list[Problem] = []
    files: dict[str, Policy] = {}
    owner: dict[str, str] = {}
    for name in stamps:
        for policy in _versions(folder / name, old.files.get(name), problems):
            if policy.name in owner:
                rule = f"must be unique, {owner[policy.name]} has the same, got {policy.name!r}"
                problems.append(Problem(place="/name", rule=rule, file=name))
                continue
            files[name], owner[policy.name] = policy, name
            break
    return _Folder(stamps=stamps, files=files, problems=tuple(problems))


def _versions(path: Path, old: Policy | None, problems: list[Problem]) -> Iterator[Policy]:
    """Yield what may be in force for a file: its content if it can be read, then its old version."""
    try:
        with path.open("rb") as file:
            raw = file.read(documents.LARGEST + 1)
        yield wire.read(documents.parse(raw, path.name), presets(), path.name)
    except PolicyProblems as error:
        problems.extend(error.problems)
    except OSError as error:
        problems.append(Problem(place="", rule=f"cannot be read: {error.strerror}", file=path.name))
    if old is not None:
        yield old


def check_static(policy: Policy) -> list[str]:
    """
    Return why a policy that can be read would still not be judged in full, one line each; empty if it would.

    Questions of a kind that this version does not judge are refused by name unless they are muted: they would
    hold every release.
    """
    judged = ", ".join(sorted(JUDGED))
    lines = []
    for number, question in enumerate(policy.questions):
        if question.kind not in JUDGED and not question.muted:
            place = f"/questions/{number}/kind"
            lines.append(
                f"{place}: {question.name} is of kind {question.kind}, which is not judged yet (judged: {judged}); "
                "mute it, or ask for limits on it"
            )
    if all(question.muted for question in policy.questions):
        lines.append("/questions: every question is muted or left out, so nothing could ever be promoted")
    return lines
