"""Pages of listings in the form in which S3 sends them."""

from urllib.parse import quote_plus
from xml.sax.saxutils import escape

AWKWARD = [
    " lead",
    "a b+c%41",
    "a//b/../c/./",
    "line\nfeed\ttab",
    "\u00e9\U0001f600",
    "<&>\"'",
    "%",
    "+",
]


def contents(key: str, *, size: int = 1) -> str:
    return (
        f"<Contents><Key>{escape(quote_plus(key, safe='/'))}</Key>"
        "<LastModified>2026-03-04T05:06:07.000Z</LastModified><ETag>&quot;abc&quot;</ETag>"
        f"<Size>{size}</Size><StorageClass>GLACIER</StorageClass></Contents>"
    )


def objects_page(keys: list[str], following: str | None = None) -> bytes:
    token = (
        "" if following is None else f"<NextContinuationToken>{following}</NextContinuationToken>"
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
        f"<EncodingType>url</EncodingType><Prefix></Prefix>"
        f"<IsTruncated>{str(following is not None).lower()}</IsTruncated>"
        f"{token}{''.join(map(contents, keys))}</ListBucketResult>"
    ).encode()
