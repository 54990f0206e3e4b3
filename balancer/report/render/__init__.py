"""Renderings of the report: page, Markdown and terminal."""
