"""The demo Space: a Gradio page and an API over `modeling.EntityExtractor`."""
