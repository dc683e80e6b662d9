"""Pages of claims, studies and runs as files: what is known (`gather`) -> data of pages (`content`) -> HTML (`pages`).

They need no network, no script and no server: they open from `file://`, on a phone and on paper. Equal inputs give
equal bytes.
"""
