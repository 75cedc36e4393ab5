"""How the page looks: a theme of system fonts (nothing is fetched), and a little CSS for what Gradio has no part for."""

import gradio as gr


def theme() -> gr.themes.Base:
    """Calm colours that work in light and dark."""
    return gr.themes.Soft(
        primary_hue=gr.themes.colors.emerald,
        secondary_hue=gr.themes.colors.emerald,
        neutral_hue=gr.themes.colors.stone,
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "monospace"],
    )


CSS = """
:root { --fg-quiet: #57534e; }
.dark { --fg-quiet: #b8b2ad; }
.fg-header h1 { font-size: 1.5rem; font-weight: 700; margin: 0; }
.fg-header p { margin: 0.15rem 0 0; color: var(--fg-quiet); }
.fg-sources-title { font-size: 1.1rem; font-weight: 650; margin: 0; }
#sources h3 { font-size: 0.85rem; font-weight: 650; margin: 0 0 0.4rem; color: var(--fg-quiet); }
.fg-card + h3 { padding-top: 0.6rem; }
.fg-card { border: 1px solid var(--border-color-primary); border-radius: 8px; background: var(--background-fill-primary);
           padding: 0.6rem 0.75rem; margin-bottom: 0.5rem; overflow-wrap: anywhere; }
.fg-card p { margin: 0; }
.fg-card .fg-document { font-family: var(--font-mono); font-size: 0.78rem; color: var(--fg-quiet); }
.fg-card .fg-where, .fg-card summary { font-size: 0.88rem; }
.fg-card summary { cursor: pointer; }
#sources blockquote { border-left: 3px solid var(--color-accent); margin: 0.45rem 0 !important; padding: 0 0 0 0.6rem; }
.fg-card .fg-passage { white-space: pre-wrap; font-size: 0.88rem; margin-top: 0.4rem; }
.fg-card mark { background: color-mix(in srgb, var(--color-accent) 30%, transparent); color: inherit; }
.fg-empty, .fg-note { color: var(--fg-quiet); }
.fg-status { font-size: 0.88rem; margin: 0; color: var(--fg-quiet); }
#conversation .message { overflow-wrap: anywhere; max-width: 42rem; }
"""
