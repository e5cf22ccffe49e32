// Moves the canvas from step to step. `element` and `watch` are gradio's; see canvas.py for the markup.
const PAUSE = 650; // ms a step
let timer = null;

const player = () => element.querySelector('.player');
const captions = (root) => JSON.parse(root.dataset.captions);

function show(root, frame) {
  root.dataset.current = frame;
  for (const part of root.querySelectorAll('[data-from]')) {
    part.hidden = frame < Number(part.dataset.from) || frame >= Number(part.dataset.to);
  }
  const text = captions(root)[frame];
  const range = root.querySelector('input[type=range]');
  range.value = frame;
  range.setAttribute('aria-valuetext', text);
  root.querySelector('.caption').textContent = text;
  root.querySelector('[data-move="-1"]').disabled = frame === 0;
  root.querySelector('[data-move="1"]').disabled = frame === captions(root).length - 1;
}

function label(root, playing) {
  root.querySelector('[data-play]').textContent = playing ? 'Pause' : 'Play';
  // Screen readers hear the step where it stops, not every one on the way.
  root.querySelector('.caption').setAttribute('aria-live', playing ? 'off' : 'polite');
}

function stop() {
  clearInterval(timer);
  timer = null;
  const root = player();
  if (root) label(root, false);
}

function play(root) {
  const last = captions(root).length - 1;
  if (Number(root.dataset.current) === last) show(root, 0);
  label(root, true);
  timer = setInterval(() => {
    const now = player();
    if (now !== root) return stop();
    const next = Number(root.dataset.current) + 1;
    if (next === last) stop();
    show(root, next);
  }, PAUSE);
}

function begin() {
  stop();
  const root = player();
  if (!root) return;
  const still = window.matchMedia('(prefers-reduced-motion: reduce)').matches;
  show(root, captions(root).length - 1);
  if (!still) play(root);
}

element.addEventListener('click', (event) => {
  const root = player();
  const button = event.target.closest('button');
  if (!root || !button) return;
  const playing = timer !== null;
  if (button.dataset.play !== undefined) return playing ? stop() : play(root);
  if (button.dataset.move !== undefined) {
    stop();
    show(root, Number(root.dataset.current) + Number(button.dataset.move));
  }
});
element.addEventListener('input', (event) => {
  const root = player();
  if (!root || event.target.type !== 'range') return;
  stop();
  show(root, Number(event.target.value));
});
watch('value', begin);
begin();
