// What the page does by itself, without asking the server: one listener for each kind of event, for all of the page.
// Gradio runs this once, with `trigger` in scope; the names passed to it are the events that Python answers.

const find = (selector, root = document) => root.querySelector(selector);
const box = () => find("#question textarea");
const narrow = () => window.matchMedia("(max-width: 1099px)").matches;
const stored = (storage) => (name, value) => {
  try {
    if (value === null) return window[storage].removeItem(name);
    return value === undefined ? window[storage].getItem(name) : window[storage].setItem(name, value);
  } catch {
    return null; // a browser that keeps nothing is no reason to fail
  }
};
const remembered = stored("localStorage");
const rememberedHere = stored("sessionStorage"); // in this tab

function fill(text) {
  const area = box();
  area.value = text;
  area.dispatchEvent(new Event("input", { bubbles: true }));
  area.focus();
}

// Sources: each exchange carries its own, hidden; the panel shows a copy of those of one exchange.
function showSources(exchange, card, { open = true } = {}) {
  const kept = exchange && find(".fg-kept-sources", exchange);
  const body = find(".fg-panel-body");
  if (!kept) return;
  body.replaceChildren(...[...kept.children].map((child) => child.cloneNode(true)));
  body.dataset.of = exchange.matches(".fg-under-way") ? "under way" : "";
  for (const each of body.querySelectorAll(".fg-card")) each.id = `source-${each.dataset.card}`;
  body.scrollTop = 0;
  if (open && narrow()) {
    find(".fg-panel").classList.add("fg-opened");
    body.focus();
  }
  const chosen = card && find(`[data-card="${CSS.escape(card)}"]`, body);
  if (!chosen) return;
  chosen.classList.add("fg-chosen");
  const details = find("details", chosen);
  details.open = true;
  const top = chosen.getBoundingClientRect().top - body.getBoundingClientRect().top;
  body.scrollTop = top - 8;
}

function closeSources() {
  const panel = find(".fg-panel");
  const was = panel.classList.contains("fg-opened");
  panel.classList.remove("fg-opened");
  if (was) returnTo?.focus();
  return was;
}
let returnTo = null;

async function copy(button) {
  const text = find(".fg-plain", button.closest(".fg-exchange")).textContent;
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    done = false;
  }
  button.textContent = done ? "Copied" : "Not allowed";
  setTimeout(() => (button.textContent = "Copy"), 1500);
}

async function openTopics() {
  const dialog = find("#topics");
  dialog.showModal();
  const list = find(".fg-topics", dialog);
  try {
    const answer = await fetch("/topics");
    const text = await answer.text();
    if (answer.ok) list.innerHTML = text; // escaped by the server
    else list.textContent = text;
  } catch {
    list.textContent = "Fieldguide does not answer.";
  }
}

const deeds = {
  ask: (button) => find("#composer").inert || trigger("ask", { question: button.dataset.question }),
  again: (button) => trigger("ask", { position: Number(button.dataset.position) }),
  edit: (button) => {
    trigger("edit", { position: Number(button.dataset.position) });
    box().focus();
  },
  cancel: () => trigger("cancel"),
  open: (button) => {
    trigger("open", { id: button.dataset.id });
    if (narrow()) toggleSidebar(false);
  },
  delete: (button) => trigger("delete", { id: button.dataset.id }),
  restore: (button) => trigger("restore", { id: button.dataset.id }),
  "list-all": () => trigger("list_all"),
  fill: (button) => {
    find("#topics").close();
    fill(button.dataset.question);
  },
  card: (button) => {
    returnTo = button;
    hush();
    showSources(button.closest(".fg-exchange"), button.dataset.card);
  },
  sources: (button) => {
    returnTo = button;
    showSources(button.closest(".fg-exchange"));
  },
  "close-sources": closeSources,
  copy,
  topics: openTopics,
  "close-topics": () => find("#topics").close(),
  dismiss: (button) => {
    remembered("fieldguide-note", "dismissed");
    button.closest(".fg-notice").hidden = true;
    box().focus();
  },
};

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-do]");
  if (button) deeds[button.dataset.do]?.(button);
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form.fg-searched");
  if (!form) return;
  event.preventDefault();
  if (form.closest(".fg-under-way")) return;
  trigger("ask", { position: Number(form.dataset.position), search_text: new FormData(form).get("search") });
});

const LARGEST = 20e6; // of a file to import, in bytes: what is beyond is cut off, and found to be no whole file
document.addEventListener("change", async (event) => {
  if (event.target.id !== "import" || !event.target.files.length) return;
  const text = await event.target.files[0].slice(0, LARGEST).text();
  event.target.value = ""; // so that the same file can be chosen again
  trigger("add_copy", { text });
});

// The tooltip of a marker: its source sentence, kept inside the window.
const tooltip = () => find("#tooltip");
function explain(marker) {
  const card = find(`.fg-kept-sources [data-card="${CSS.escape(marker.dataset.card)}"] blockquote`, marker.closest(".fg-exchange"));
  if (!card) return;
  const tip = tooltip();
  tip.textContent = card.textContent;
  tip.hidden = false;
  marker.setAttribute("aria-describedby", "tooltip");
  const at = marker.getBoundingClientRect();
  const left = Math.min(Math.max(8, at.left - 12), document.documentElement.clientWidth - tip.offsetWidth - 8);
  const above = at.top - tip.offsetHeight - 6;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 8 ? above : at.bottom + 6}px`;
}
function hush() {
  if (!tooltip().hidden) tooltip().hidden = true;
}
for (const [begin, end] of [["mouseover", "mouseout"], ["focusin", "focusout"]]) {
  document.addEventListener(begin, (event) => event.target.closest?.(".fg-marker") && explain(event.target.closest(".fg-marker")));
  document.addEventListener(end, (event) => event.target.closest?.(".fg-marker") && hush());
}
window.addEventListener("scroll", hush, { passive: true });

function leave() {
  const stop = find("#stop");
  if (!tooltip().hidden) return hush();
  if (find("#topics").open) return; // the dialog closes itself
  if (closeSources()) return;
  if (stop?.offsetParent) return stop.click();
  if (find("#banner .fg-notice")) trigger("cancel");
}
// A second Enter before the answer has begun means the same question.
let [sent, sentAt] = ["", 0];
function dropRepeated(event) {
  if (event.key !== "Enter" || event.shiftKey || event.target !== box()) return;
  if (sent && sent === box().value && Date.now() - sentAt < 2000) event.preventDefault();
  else [sent, sentAt] = [box().value, Date.now()];
}
document.addEventListener("keydown", dropRepeated, true);

document.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  const search = event.target.closest?.("form.fg-searched textarea");
  if (search && event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    return search.form.requestSubmit();
  }
  if (event.key === "Escape") leave();
  const inBox = event.target === box() && box().value === "";
  if (event.key === "ArrowUp" && inBox && find("#conversation .fg-exchange")) {
    event.preventDefault();
    trigger("edit", { position: -1 });
  }
});

// A new question goes to the top of the window, where there is room for its answer; a new answer shows its sources.
let asked = false;
let shown = "";
function followAnswer() {
  const running = find("#under-way .fg-exchange");
  if (running && !asked) {
    sent = "";
    const first = !find("#conversation .fg-exchange");
    if (first) window.scrollTo({ top: 0, behavior: "instant" });
    else running.scrollIntoView({ block: "start", behavior: "instant" });
    find(".fg-panel-body").replaceChildren();
    shown = null;
    rememberedHere("fieldguide-draft", null);
  }
  asked = Boolean(running);
  // What looks like the answer goes when the prose needs its room: nobody can read what is being pushed down.
  const prose = find("#under-way .fg-streaming");
  if (prose) find("#under-way .fg-quotes").hidden = prose.offsetHeight > parseFloat(getComputedStyle(prose).minHeight) + 1;
  document.body.classList.toggle("fg-answering", asked);
  const last = [...document.querySelectorAll("#conversation .fg-exchange")].at(-1);
  const kept = last && find(".fg-kept-sources", last);
  const now = kept ? kept.innerHTML + last.dataset.position : "";
  if (now !== shown && !running) {
    shown = now;
    const body = find(".fg-panel-body");
    const reading = body.dataset.of === "under way" ? find(".fg-chosen", body)?.dataset.card : null;
    if (kept) showSources(last, reading, { open: false });
    else body.replaceChildren();
  }
}

function toggleSidebar(open) {
  const sidebar = find(".sidebar");
  if (sidebar && sidebar.classList.contains("open") !== open) find(".toggle-button", sidebar)?.click();
}

// What is typed survives a reload.
document.addEventListener("input", (event) => {
  if (event.target === box()) rememberedHere("fieldguide-draft", event.target.value);
});

// The engine's state, and whether there is one: asked for once a second while something is going on, else less often.
const percent = (share) => (share === null ? "" : ` ${Math.round(share * 100)}%`);
let instance = null; // of the server that this page came from
let lost = false;
function tell(text) {
  const notice = find("#connection");
  notice.textContent = text;
  notice.hidden = !text;
}
async function askedStatus() {
  try {
    const answer = await fetch("/api/status", { cache: "no-store" });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}
async function watchEngine() {
  const status = await askedStatus();
  if (!status) {
    lost = true;
    tell("The connection to Fieldguide is lost. Start it again with: fieldguide chat. This page then goes on by itself.");
    return setTimeout(watchEngine, 1000);
  }
  if (instance ? instance !== status.instance : lost) {
    rememberedHere("fieldguide-draft", box().value);
    return window.location.reload();
  }
  if (lost) tell(""); // it was only busy: an answer under way goes on
  lost = false;
  // Gradio, too, reloads a page whose server is back, so what tells of it is what the page before this one knew.
  const before = rememberedHere("fieldguide-instance");
  if (before && before !== status.instance) {
    tell("Fieldguide was started again. Your conversation is back.");
    setTimeout(() => lost || tell(""), 8000);
  }
  instance = status.instance;
  rememberedHere("fieldguide-instance", instance);
  const lines = status.loading.map((one) => `${one.what}${percent(one.share)} ${one.detail}`.trim());
  find("#engine").textContent = status.failure ?? ([...(status.ready ? ["Ready"] : []), ...lines].join(" · ") || "Starting");
  setTimeout(watchEngine, status.ready && !lines.length ? 3000 : 1000);
}

// The script may run before the rest of the page is there, and nothing can be asked before the server knows who asks.
function start() {
  if (find("#composer")) find("#composer").inert = true;
  if (!find("#shelf .fg-shelf, #shelf .fg-note, #shelf .fg-problem")) return setTimeout(start, 20);
  if (!["#main", "#first-run", "#engine", ".fg-panel-body", ".sidebar", "#question textarea"].every((part) => find(part))) {
    return setTimeout(start, 20);
  }
  find("#composer").inert = false;
  if (!narrow()) box().focus();
  new MutationObserver(followAnswer).observe(find("#main"), { childList: true, subtree: true, characterData: true });
  toggleSidebar(window.innerWidth >= 1280);
  find("#first-run").hidden = remembered("fieldguide-note") === "dismissed";
  const draft = rememberedHere("fieldguide-draft");
  if (draft && !box().value) fill(draft);
  followAnswer();
  watchEngine();
  document.body.classList.add("fg-started");
}
start();
