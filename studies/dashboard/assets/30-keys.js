// The arrow keys step along the front; the server knows the order.
document.addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const front = document.getElementById("front-keys");
  if (!by || document.activeElement !== front) return;
  event.preventDefault();
  window.dash_clientside.set_props("step", { data: { by, at: Date.now() } });
});
