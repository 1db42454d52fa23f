"""How the page looks: warm paper by day, warm charcoal by night, one colour that says what matters."""

from pathlib import Path

import gradio as gr

_STACK = ["system-ui", "Noto Sans", "Noto Sans Devanagari", "Nirmala UI", "sans-serif"]

THEME = gr.themes.Base(
    primary_hue=gr.themes.colors.rose,
    neutral_hue=gr.themes.colors.stone,
    # Nothing is fetched from a server of fonts: these are on the visitor's device.
    font=_STACK,
    font_mono=["ui-monospace", "monospace"],
    radius_size=gr.themes.sizes.radius_lg,
    text_size=gr.themes.sizes.text_md,
).set(
    body_background_fill="*neutral_50",
    body_background_fill_dark="*neutral_950",
    body_text_color="*neutral_900",
    body_text_color_dark="*neutral_100",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_400",
    block_background_fill="white",
    block_background_fill_dark="*neutral_900",
    block_border_color="*neutral_200",
    block_border_color_dark="*neutral_800",
    block_label_text_color="*neutral_700",
    block_label_text_color_dark="*neutral_300",
    block_shadow="none",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover_dark="*primary_600",
    button_primary_text_color="white",
    link_text_color="*primary_700",
    link_text_color_dark="*primary_300",
)

CSS = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
