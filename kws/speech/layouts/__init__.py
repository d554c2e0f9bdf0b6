"""The layouts that recordings may lie in, one file each, found by its name.

Each has a TITLE, an ORDER in which layouts are tried, an EXAMPLE for whoever has none of them, `find(tree)`, which is
what the layout makes of a folder or a manifest (kws.speech.found.Found), or None where it is another one, and
`likeness(seen)`, how much of it is there where none was found. A folder a word is what no other layout takes.
"""
