"""
Plots of a report: what a verdict rests on, look by look, as SVG or PNG.

``captions`` chooses words, ``theme`` colours, ``panels`` draw one question each, ``figure`` puts them on one sheet,
``files`` makes bytes of it, ``shelf`` does so on demand and keeps what was drawn. Only what draws imports matplotlib,
and only when a plot is asked for.
"""
