"""A node killed again and again under load, seen only through HTTP.

`history` writes down what clients asked and heard and judges it; `clients` keep sending; `run` starts,
kills and starts the node. ``python -m bezant.testing.blackbox --kills 10`` runs it.
"""
