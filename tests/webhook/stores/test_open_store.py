"""The store that the settings name."""

from __future__ import annotations

import pytest

from webhook.ports import Write
from webhook.settings import Settings
from webhook.stores import open_store
from webhook.stores.memory import MemoryStore
from webhook.stores.sqlite import SQLiteStore


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param("memory:", MemoryStore, id="memory"),
        pytest.param("sqlite:{}/a b?c#d/w.db", SQLiteStore, id="path with blanks and marks"),
    ],
)
def test_a_store_is_opened_by_its_name(tmp_path, name, kind):
    """The word before the colon chooses, the rest is the path as it stands."""
    store = open_store(Settings(store=name.format(tmp_path)))
    assert isinstance(store, kind)
    store.write(Write(report={"id": "r_1"}))
    assert store.report("r_1") == {"id": "r_1"}
    assert (tmp_path / "a b?c#d" / "w.db").exists() == (kind is SQLiteStore)
    store.close()


def test_opening_touches_nothing(tmp_path):
    """A service starts although its store is not there yet."""
    open_store(Settings(store=f"sqlite:{tmp_path}/later/w.db")).close()
    assert list(tmp_path.iterdir()) == []
