"""The page docs/reference/http.md: what can be asked of a pod over HTTP, from the routes and their messages."""
