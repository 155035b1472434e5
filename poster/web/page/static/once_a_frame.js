// Drawing no oftener than the screen shows it.

/** What calls `draw` with the next frame, however often it is called before. */
export function onceAFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}
