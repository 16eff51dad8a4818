"""How to create each type of resource, by AWS service."""
