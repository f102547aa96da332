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

// Copies the command that stands below the button.
document.addEventListener("click", async (event) => {
  const button = event.target.closest(".copy-command");
  if (!button) return;
  const command = button.closest("#detail-actions").querySelector("code.command").textContent;
  await navigator.clipboard.writeText(command);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy command"; }, 1500);
});

// Says when the server no longer answers; what is on the page is old then.
const ask = window.fetch;
const note = (text) => {
  const old = document.getElementById("connection");
  if (!text) return old?.remove();
  if (old) return;
  const line = Object.assign(document.createElement("div"), { id: "connection", textContent: text });
  line.setAttribute("role", "alert");
  document.body.append(line);
};
window.fetch = async (...request) => {
  try {
    const answer = await ask(...request);
    note("");
    return answer;
  } catch (error) {
    note("The dashboard does not answer. It has stopped, or the connection is lost; what you see may be old.");
    throw error;
  }
};
