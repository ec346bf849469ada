"""The server in front of the application: uvicorn, with what it leaves open closed."""
