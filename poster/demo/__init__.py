"""The demo: the main job on an embedded database, from a post over a cancel to a verified archive."""
