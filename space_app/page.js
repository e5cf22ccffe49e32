// What gradio's radio groups lack: a name for screen readers, and one group for the arrow keys.
() => {
  for (const group of document.querySelectorAll('fieldset')) {
    const title = group.querySelector('[data-testid="block-info"]').textContent.trim();
    group.setAttribute('aria-label', title);
    for (const radio of group.querySelectorAll('input[type=radio]')) radio.name = title;
  }
}
