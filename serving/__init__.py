"""Voice search as a service: REST, WebSocket, Wyoming, search, and a page to speak to."""
