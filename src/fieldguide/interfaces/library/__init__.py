"""The Library page: one's own documents in the browser, served beside the chat."""
