"""
Reports for people: as plain text for a terminal, and as pages for a browser.

Everything here reads a report document and writes words; nothing is decided, fetched or computed anew. A
document with parts missing, as an older version may have stored it, is told with those parts left out.
"""
