"""How the page looks: a theme of system fonts (nothing is fetched), and a stylesheet for what Gradio has no part for."""

from pathlib import Path

import gradio as gr

_HERE = Path(__file__).parent


def theme() -> gr.themes.Base:
    """Calm colours that work in light and dark."""
    return gr.themes.Soft(
        primary_hue=gr.themes.colors.emerald,
        secondary_hue=gr.themes.colors.emerald,
        neutral_hue=gr.themes.colors.stone,
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "monospace"],
    ).set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_text_color="white",
        button_primary_text_color_dark="white",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        block_title_background_fill="transparent",
        block_title_background_fill_dark="transparent",
        block_title_padding="0",
        block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_200",
        checkbox_label_background_fill_selected="*primary_700",
        checkbox_label_background_fill_selected_dark="*primary_700",
        checkbox_background_color_selected="*primary_700",
        checkbox_background_color_selected_dark="*primary_700",
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
        input_placeholder_color="*neutral_600",
        input_placeholder_color_dark="*neutral_400",
        body_background_fill="#faf9f7",
        body_background_fill_dark="#1a1816",
    )


CSS = (_HERE / "page.css").read_text(encoding="utf-8")
GUIDE_CSS = (_HERE / "guide.css").read_text(encoding="utf-8")
JAVASCRIPT = (_HERE / "page.js").read_text(encoding="utf-8")

# Gradio confines the media rules of a stylesheet to its content; these are for what is around it.
# Its own bar of pages is hidden: ours link to each other themselves.
HEAD = """<style>
.nav-holder { display: none !important; }
:root:has(body.dark) { color-scheme: dark; } /* what the browser draws itself, such as arrows and scroll bars */
@media (max-width: 480px) {
  body .gradio-container .main.fillable { padding: 0 .75rem !important; }
}
@media print {
  body .gradio-container .main.fillable { padding: 0 !important; }
  body .sidebar, body .sidebar .toggle-button { display: none !important; }
  body .gradio-container, body { background: white !important; }
}
@media (prefers-reduced-motion: reduce) {
  *, ::before, ::after { animation: none !important; transition: none !important; scroll-behavior: auto !important; }
}
</style>"""
