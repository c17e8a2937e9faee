"""Colours of plots can be told apart and read."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.webhook.test_explain_page import luminance
from webhook.explain import page
from webhook.plots.theme import THEMES

TOGETHER = (("baseline", "canary"), ("harm", "size"), ("go", "safe"))
"""What shares a panel."""
DEFECTS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    "none": np.eye(3).tolist(),
}
"""Machado, Oliveira and Fernandes (2009), A Physiologically-based Model for Simulation of Color Vision Deficiency,
severity 1, on linear RGB."""


def contrast(one: str, other: str) -> float:
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def lab(colour: str, defect: str) -> np.ndarray:
    """Return CIE L*a*b* (D65) of a colour as somebody with this vision sees it."""
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(DEFECTS[defect]) @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt((to_xyz @ seen) / np.array([0.9505, 1.0, 1.089]))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_every_text_and_line_stands_out(theme):
    """Text has a contrast of 4.5 to the paper, also where it has the colour of a line (WCAG 2.2, 1.4.3 and 1.4.11)."""
    for name in ("ink", "soft", "harm", "size", "go", "safe", "baseline", "canary"):
        assert contrast(getattr(theme, name), theme.paper) >= 4.5, name


@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_lines_of_one_panel_can_be_told_apart(theme, defect):
    """With any kind of colour vision they are at least 20 apart in L*a*b*, ten times what can just be seen."""
    for one, other in itertools.chain(TOGETHER):
        apart = np.linalg.norm(lab(getattr(theme, one), defect) - lab(getattr(theme, other), defect))
        assert apart >= 20, (one, other, apart)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_a_plot_stands_on_the_paper_of_its_page(scheme):
    """The dark plot is on the sheet of the dark page, the light one on white."""
    block = page.STYLE.split(":root {")[scheme + 1].split("}")[0]
    colours = dict(pair.strip().removeprefix("--").split(": ") for pair in block.split(";") if "--" in pair)
    theme = list(THEMES.values())[scheme]
    assert theme.paper in (colours["paper"], colours["sheet"])
