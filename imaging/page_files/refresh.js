// A plate that is being imaged: the page reads itself again, and keeps what was looked at. What is in the address comes
// back by itself, everything else is left in the browser's history entry, which survives the reading.

const REFRESH_MS = 15000;
const SHARE = 10; // a page that takes long to draw is read again after ten times as long
const HANDS_OFF_MS = 2000;

/** Read the page again after a while, unless somebody is just using it or does not see it; `keep()` says what to keep. */
function keepFresh(keep, drawingMs) {
  let touched = -Infinity;
  let isPressed = false;
  const note = (event) => {
    touched = performance.now();
    isPressed = event.type === "pointerdown" || (isPressed && event.type !== "pointerup" && event.type !== "pointercancel");
  };
  for (const type of ["pointerdown", "pointerup", "pointercancel", "keydown", "input", "wheel"])
    addEventListener(type, note, { capture: true, passive: true });
  const again = () => {
    if (document.hidden || isPressed || performance.now() - touched < HANDS_OFF_MS) {
      setTimeout(again, 1000);
      return;
    }
    history.replaceState({ kept: keep() }, "");
    location.reload();
  };
  setTimeout(again, Math.max(REFRESH_MS, SHARE * drawingMs));
}

/** What the page kept before it was read again; null on a first visit. */
const keptBefore = () => history.state?.kept ?? null;
