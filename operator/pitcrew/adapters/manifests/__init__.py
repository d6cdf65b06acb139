"""Manifests on disk. They belong to people: this package reads them, and never writes, renames or locks anything.

`document` turns YAML into data with a position for every key and value, `parse` turns documents into services or
problems, `wording` says what is wrong in words, `files` reads safely, `load` joins files into what is declared, and
`watch` does so again after every change.
"""
