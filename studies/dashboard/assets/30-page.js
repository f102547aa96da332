// The arrow keys step along the front; the server knows the order.
document.addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const front = document.getElementById("front-keys");
  if (!by || document.activeElement !== front) return;
  event.preventDefault();
  window.dash_clientside.set_props("step", { data: { by, at: Date.now() } });
});

// Dash gives a slider no name; it is that of the row in which it stands.
const nameSliders = () => {
  for (const handle of document.querySelectorAll(".limit-row [role=slider]:not([aria-label])")) {
    handle.setAttribute("aria-label", handle.closest(".limit-row").querySelector("label").textContent);
  }
};
new MutationObserver(nameSliders).observe(document, { childList: true, subtree: true });
