"""What stands at the top of every page: its name, what it is for, and the way to the others."""

_PAGES = {"/": "Chat", "/library": "Library", "/learn": "Learn"}


def heading(address: str, title: str, about: str, tools: str = "") -> str:
    """The header of the page at this address, as HTML."""
    links = "".join(
        f"<a href='{path}' aria-current='{'page' if path == address else 'false'}'>{name}</a>" for path, name in _PAGES.items()
    )
    return f"<header class='fg-header'><h1>{title}</h1><p>{about}</p>{tools}<nav aria-label='Pages'>{links}</nav></header>"
