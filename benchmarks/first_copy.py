"""The child of the cold start benchmark: as Lambda does, import a handler and give it an event.

Run as a script: `python -B first_copy.py FOLDER MODULE EVENT`.
"""

import importlib
import json
import sys
import time

DONE = "the first copy is done; CPU seconds so far:"


class Context:
    """What Lambda hands to the function beside the event."""

    function_name = "backup"
    aws_request_id = "request"
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:backup"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """As at the beginning of an invocation."""
        return 900_000


if __name__ == "__main__":
    folder, module, event = sys.argv[1:]
    sys.path.insert(0, folder)
    importlib.import_module(module).handler(json.loads(event), Context())
    print(DONE, time.process_time(), flush=True)
