"""Our own speed, memory and quality over commits; public API only."""
