"""One stateless stack for each bounded context."""
