"""The `web` ports: HTTP, its checks, and lines over WebSocket. Loaded only where the config has such a port."""
