"""A page on this machine alone that shows releases as they go: `feed` looks, `server` answers, `page.*` is shown."""
