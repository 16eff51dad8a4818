"""The backup Lambda: copies every created object of a source bucket to the backup bucket.

This folder is exactly what runs in Lambda; it needs the standard library and boto3 only.
"""
