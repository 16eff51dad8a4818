"""The backup Lambda: copies every created object of a source bucket to the backup bucket.

This folder is exactly what runs in Lambda; it needs the standard library and botocore only, which
is the part of boto3 that is in use here: importing the rest would only delay the first copy.
"""

import gc
import os

if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # Nothing that imports make is garbage, so looking for it only delays the first copy. The entry
    # points have Python look again when all is made (`clients.prepare`).
    gc.disable()
