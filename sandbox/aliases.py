"""Names for what has no static type, so that signatures still say what is meant."""

from typing import Any

Client = Any
"""A boto3 client."""
Message = Any
"""A protobuf message of Pulumi's."""
Model = Any
"""A model of botocore's: of an operation or of a shape."""
Value = Any
"""Plain data of any form."""
