"""How gradio's own parts look."""

import gradio as gr

# Fonts by name alone: gradio's own themes fetch theirs from the network. Colours: text at WCAG AA contrast.
THEME = gr.themes.Default(
    primary_hue="blue",
    neutral_hue="slate",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
).set(
    body_background_fill="white",
    body_background_fill_dark="*neutral_950",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    block_title_text_weight="600",
    block_title_text_color="*neutral_800",
    block_title_text_color_dark="*neutral_100",
    block_label_text_color="*neutral_800",
    block_label_text_color_dark="*neutral_100",
    block_border_width="0px",
    block_padding="0px",
    block_background_fill="transparent",
    block_background_fill_dark="transparent",
    block_shadow="none",
    input_background_fill="white",
    input_border_color="*neutral_500",
    input_border_color_dark="*neutral_500",
    checkbox_border_color="*neutral_500",
    checkbox_border_color_dark="*neutral_400",
    checkbox_label_border_color="*neutral_500",
    checkbox_label_border_color_dark="*neutral_500",
    checkbox_label_background_fill_selected="*primary_700",
    checkbox_label_background_fill_selected_dark="*primary_700",
    checkbox_label_text_color_selected="white",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_hover_dark="*primary_600",
)
