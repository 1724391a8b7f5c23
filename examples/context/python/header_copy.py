"""Header copy: `python3 header_copy.py`, with PORT, BACK_URL and BEHALF_PORTS in the environment."""

from behalf_context import middleware, open_url
from service import serve

serve(open_url, middleware)
