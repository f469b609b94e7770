"""The desktop application. The only package that knows Qt; it talks to `core`, and to `trainer` through child processes."""
