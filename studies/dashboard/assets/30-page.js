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

// On a narrow page the selected network may be out of sight; a button at the lower border leads to it.
document.addEventListener("click", (event) => {
  if (event.target.closest("#to-panel")) document.getElementById("panel").scrollIntoView({ behavior: "smooth" });
});
const inView = new IntersectionObserver((entries) => {
  document.body.classList.toggle("panel-in-view", entries.at(-1).isIntersecting);
}, { rootMargin: "0px 0px -120px 0px" });

// What is wider than its place says so.
const sizes = new ResizeObserver((entries) => { for (const entry of entries) tellWidth(entry.target.parentElement); });
const tellWidth = (place) => place?.classList.toggle("wider", place.scrollWidth > place.clientWidth + 1);
const seen = new WeakSet();
const once = (element, act) => { if (element && !seen.has(element)) { seen.add(element); act(element); } };
const watchPage = () => {
  once(document.getElementById("panel"), (panel) => inView.observe(panel));
  for (const place of document.querySelectorAll(".view, .scroll")) {
    once(place.firstElementChild, (content) => sizes.observe(content));
  }
};
new MutationObserver(watchPage).observe(document, { childList: true, subtree: true });

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
