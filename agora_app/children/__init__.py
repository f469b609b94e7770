"""Commands of `main.py` as processes of their own: started, followed, ended."""
