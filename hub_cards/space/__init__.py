"""A web page to try MERIT; `merit app` starts it."""
