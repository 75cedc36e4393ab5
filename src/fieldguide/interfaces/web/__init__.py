"""The page: a chat in the browser, served from this machine to this machine."""
