"""A dataset described in Croissant 1.0, JSON-LD that catalogues and loaders read.

Specification: https://docs.mlcommons.org/croissant/docs/croissant-spec.html.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
# The context that the specification asks for (appendix 1), as it stands there.
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataBiases": "cr:dataBiases",
    "dataCollection": "cr:dataCollection",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "personalSensitiveInformation": "cr:personalSensitiveInformation",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
DATA_TYPES = {"string": "sc:Text", "int64": "sc:Integer", "float64": "sc:Float", "bool": "sc:Boolean"}


@dataclass(frozen=True)
class CsvTable:
    """A table of the dataset: its file beside the description, what a row is, and its columns (name -> Arrow type).

    references : column -> (table, column) whose values it takes.
    """

    name: str
    path: str
    size_bytes: int
    sha256: str
    description: str
    columns: Mapping[str, str]
    key: str | None = None
    references: Mapping[str, tuple[str, str]] | None = None


def croissant(name: str, facts: Mapping[str, str], tables: Sequence[CsvTable]) -> dict[str, Any]:
    """The description as JSON.

    facts : properties of a schema.org Dataset (description, license, url, citeAs, ...) as far as they are known.
    """
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": name,
        **facts,
        "distribution": [_file(table) for table in tables],
        "recordSet": [_records(table) for table in tables],
    }


def _file(table: CsvTable) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": f"{table.name}.csv",
        "name": f"{table.name}.csv",
        "description": table.description,
        "contentUrl": table.path,
        "contentSize": f"{table.size_bytes} B",
        "encodingFormat": "text/csv",
        "sha256": table.sha256,
    }


def _records(table: CsvTable) -> dict[str, Any]:
    key = {"key": {"@id": f"{table.name}/{table.key}"}} if table.key else {}
    return {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": table.description,
        **key,
        "field": [_field(table, column, kind) for column, kind in table.columns.items()],
    }


def _field(table: CsvTable, column: str, kind: str) -> dict[str, Any]:
    target = (table.references or {}).get(column)
    reference = {"references": {"field": {"@id": "/".join(target)}}} if target else {}
    return {
        "@type": "cr:Field",
        "@id": f"{table.name}/{column}",
        "name": column,
        "dataType": DATA_TYPES[kind],
        "source": {"fileObject": {"@id": f"{table.name}.csv"}, "extract": {"column": column}},
        **reference,
    }
