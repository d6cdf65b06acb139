"""The page of an API: its OpenAPI document as plain HTML, without a script and without anything from elsewhere."""

from collections.abc import Mapping
from html import escape
from typing import Any

from pitcrew.entrypoints.servers.access import Access

_METHODS = ("get", "post", "put", "patch", "delete")


def page_of(document: Mapping[str, Any], access: Access) -> str:
    """Every operation with what it is for, who may call it, and the names of what goes in and comes out."""
    info = document["info"]
    rows = [
        _row(method, path, operation, access)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method in _METHODS
    ]
    titles = "".join(f"<th>{title}</th>" for title in ("Method", "Path", "What", "Role", "Takes", "Gives"))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title></head>'
        f"<body><h1>{escape(info['title'])} {escape(info['version'])}</h1>"
        f"<p>{escape(info.get('description', ''))}</p>"
        '<p>The whole document is at <a href="/openapi.json">/openapi.json</a>.</p>'
        f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(rows)}</tbody></table></body></html>\n"
    )


def _row(method: str, path: str, operation: Mapping[str, Any], access: Access) -> str:
    need = access.declared(path).get(method.upper())
    who = "everybody" if need is not None and need.otherwise == "Everybody" else str(need or "nobody")
    answer = operation.get("responses", {}).get("200", {})
    cells = (
        method.upper(),
        path,
        operation.get("summary", ""),
        who,
        _name(operation.get("requestBody")),
        _name(answer),
    )
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _name(part: Mapping[str, Any] | None) -> str:
    """The name of the schema of a body, or nothing."""
    schema = (part or {}).get("content", {}).get("application/json", {}).get("schema", {})
    return str(schema.get("$ref", "")).rpartition("/")[2]
