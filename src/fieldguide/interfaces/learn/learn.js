// What the Learn page does by itself. Gradio runs this once, with `element` and `server` (the functions of page.py) in scope.

const KEPT = "fieldguide-learn";
const find = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const blank = () => ({ done: [], right: 0, guessed: [], presenter: false });

let kept = blank();
try {
  const found = { ...blank(), ...JSON.parse(localStorage.getItem(KEPT) ?? "{}") };
  if (Array.isArray(found.done) && Array.isArray(found.guessed)) kept = found;
} catch {
  // a browser that keeps nothing, or something else under this name, is no reason to fail
}
function keep() {
  try {
    localStorage.setItem(KEPT, JSON.stringify(kept));
  } catch {
    // as above
  }
}

let stage = "";
let lesson = "";
let job = "";
const run = () => find(".fl-run");
const trace = () => run()?.dataset.trace ?? "";

// Lessons: a task is done when what was done is among what the lesson waits for.
function happened(...deeds) {
  const open = find(`.fl-lesson[data-lesson="${CSS.escape(lesson)}"]`);
  if (!open || kept.done.includes(lesson)) return;
  const wanted = open.dataset.doneBy.split(" ");
  if (!deeds.some((deed) => wanted.includes(deed))) return;
  kept.done.push(lesson);
  keep();
  drawLessons();
  find(".fl-well-done", open).textContent = "Done. Well seen.";
}
// What takes a while counts for the lesson that was open when it was begun: an answer that comes late is not the next one's.
function counting() {
  const begun = lesson;
  return (...deeds) => lesson === begun && happened(...deeds);
}

function drawLessons() {
  for (const each of all(".fl-lesson")) {
    const done = kept.done.includes(each.dataset.lesson);
    each.classList.toggle("fl-is-done", done);
    find(".fl-state", each).textContent = done ? ", done" : "";
    const isOpen = each.dataset.lesson === lesson;
    each.classList.toggle("fl-is-open", isOpen);
    find(".fl-idea", each).hidden = !isOpen;
    find(".fl-lesson-head", each).setAttribute("aria-expanded", isOpen);
  }
  const guesses = kept.guessed.length ? `, ${kept.right} of ${kept.guessed.length} guesses right` : "";
  find("#score").textContent = `${kept.done.length} of ${all(".fl-lesson").length} done${guesses}`;
  document.body.classList.toggle("fl-presenter", kept.presenter);
  redraw();
}

async function openLesson(name) {
  lesson = lesson === name ? "" : name;
  drawLessons();
  address();
  const open = find(`.fl-lesson[data-lesson="${CSS.escape(lesson)}"]`);
  all(".fl-outlined").forEach((each) => each.classList.remove("fl-outlined"));
  if (!open) return;
  const rail = find(".fl-rail");
  rail.scrollTop += open.getBoundingClientRect().top - rail.getBoundingClientRect().top - 8;
  // What the task opens is left to the learner: the run and the box are only outlined.
  const asksToOpen = open.dataset.doneBy.includes("trace:") || open.dataset.doneBy.includes("stage:");
  closeStage();
  if (open.dataset.doneBy.includes("trace:")) find("#runs").classList.add("fl-outlined");
  else if (!(await show(open.dataset.trace))) return;
  if (!asksToOpen) openStage(open.dataset.stage, { scroll: false });
  find(`.fl-box[data-stage="${open.dataset.stage}"]`)?.classList.add("fl-outlined");
}

// Runs and their stages
let showing = 0;
// Whether the run is shown now: another one may have been chosen before it came.
async function show(name, { stage: wanted = stage, force = false } = {}) {
  const [mine, count] = [++showing, counting()];
  if (name !== trace() || force) {
    const reply = await served("show", { trace: name });
    if (mine !== showing) return false;
    if (reply.failure) {
      say(reply.failure);
      return false;
    }
    find("#run").innerHTML = reply.html; // escaped by the server
  }
  const choice = find("#runs");
  if ([...choice.options].some((option) => option.value === name)) choice.value = name;
  closeStage();
  if (wanted) openStage(wanted, { scroll: false });
  address();
  count(`trace:${name}`);
  return true;
}

function closeStage() {
  stage = "";
  drawStages();
}

function drawStages() {
  for (const panel of all(".fl-stage")) panel.hidden = panel.dataset.stage !== stage;
  for (const box of all(".fl-box")) box.setAttribute("aria-expanded", box.dataset.stage === stage);
}

function openStage(name, { scroll = true } = {}) {
  stage = stage === name ? "" : name;
  drawStages();
  const panel = find(`#stage-${CSS.escape(stage)}`);
  if (!panel) return;
  const guide = find(".fl-guide", panel);
  const followed = guide && find(".fl-followed", guide);
  if (followed) guide.scrollTop = followed.offsetTop - 40;
  if (scroll) {
    panel.scrollIntoView({ block: "nearest" });
    find("h3", panel).focus({ preventScroll: true });
  }
  if (stage === "answer") chooseToken(find(".fl-token"), { quietly: true });
  drawPlots(panel);
  happened(`stage:${stage}`, `trace:${trace()}+${stage}`);
}

function say(message) {
  find("#live").textContent = message;
}

let comparing = 0;
let searching = ""; // the search among the pieces of a guide that is under way
const forms = {
  ask: async (form) => {
    const question = new FormData(form).get("question");
    const count = counting();
    const reply = await follow(await served("begin", { question, base: trace() }));
    if (reply?.trace) await show(reply.trace);
    if (reply) count("ask");
  },
  experiment: async (form) => {
    const order = { ...Object.fromEntries(new FormData(form)), experiment: form.dataset.experiment, base: trace() };
    const count = counting();
    find("#changes").textContent = "";
    find("#live").scrollIntoView({ block: "nearest" });
    const reply = await follow(await served("begin", order));
    if (!reply?.html) return;
    find("#changes").innerHTML = reply.html; // escaped by the server
    find("#changes").scrollIntoView({ block: "nearest" });
    count("experiment", `experiment:${form.dataset.experiment}`);
  },
  compare: async (form) => {
    const [box, count] = [find(".fl-compared"), counting()];
    box.textContent = "Comparing; the small model may have to be loaded first.";
    const mine = ++comparing;
    const reply = await served("compare", Object.fromEntries(new FormData(form)));
    if (mine !== comparing) return;
    if (reply.failure) box.textContent = reply.failure;
    else {
      box.innerHTML = reply.html; // escaped by the server
      drawPlots(box);
      count("compare");
    }
  },
  recut: async (form, count = counting()) => {
    const order = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, Number(value)]));
    const [box, status] = [find(".fl-recut"), find(".fl-recut-status")];
    if (searching) served("stop", { job: searching });
    const mine = (searching = String(Math.random())); // until the search has a name, no other may follow it
    const shown = (reply) => {
      const guide = find(".fl-guide", box)?.scrollTop ?? 0;
      box.innerHTML = reply.html; // escaped by the server
      find(".fl-guide", box).scrollTop = guide;
      count("recut", ...(reply.fails ? ["recut:fails"] : []));
    };
    const begun = await served("recut", order);
    if (searching !== mine) return begun.job && served("stop", { job: begun.job });
    if (begun.html) shown(begun);
    searching = begun.job ?? "";
    const reply = await waited(begun, (text) => (status.textContent = text), () => searching === begun.job);
    if (reply?.html) shown(reply);
    if (reply) status.textContent = "";
  },
};

const deeds = {
  stage: (button) => openStage(button.dataset.stage),
  lesson: (button) => openLesson(button.dataset.lesson),
  next: (button) => {
    const names = all(".fl-lesson").map((each) => each.dataset.lesson);
    const following = names[names.indexOf(button.closest(".fl-lesson").dataset.lesson) + 1] ?? names[0];
    openLesson(following);
    find(`.fl-lesson[data-lesson="${following}"] .fl-lesson-head`).focus();
  },
  guess: (button) => {
    const box = button.closest(".fl-guess");
    const name = button.closest(".fl-lesson").dataset.lesson;
    const right = button.dataset.right === "true";
    if (!kept.guessed.includes(name)) {
      kept.guessed.push(name);
      kept.right += Number(right);
      keep();
    }
    all("button", box).forEach((each) => each.classList.toggle("fl-right", each.dataset.right === "true"));
    const because = find(".fl-because", box);
    because.hidden = false;
    because.textContent = `${right ? "Right." : "Not so."} ${because.textContent.replace(/^(Right\.|Not so\.) /, "")}`;
    drawLessons();
  },
  token: (button) => chooseToken(button),
  open: async (button) => (await show(button.dataset.trace, { stage: button.dataset.stage })) && run().scrollIntoView(),
  failure: async (button) => {
    if (!(await show(button.dataset.trace, { stage: "" }))) return;
    openStage(button.dataset.stage);
    const form = button.dataset.settings && find(`#stage-${button.dataset.stage} form`);
    if (!form) return;
    for (const pair of button.dataset.settings.split(" ")) {
      const [name, value] = pair.split("=");
      form.elements[name].value = value;
      form.elements[name].nextElementSibling.value = value;
    }
    await forms[form.dataset.learnForm](form);
  },
  again: async () => {
    const reply = await follow(await served("begin", { again: true, base: trace() }));
    if (reply?.trace) await show(reply.trace);
  },
  influence: async () => {
    const name = trace();
    const reply = await follow(await served("measure", { trace: name }));
    if (reply?.trace && trace() === name) await show(reply.trace, { stage: "influence", force: true });
  },
  stop: () => job && served("stop", { job }),
  presenter: () => {
    kept.presenter = !kept.presenter;
    keep();
    drawLessons();
    address();
  },
  reset: async () => {
    unfollow();
    kept = blank();
    lesson = "";
    keep();
    all(".fl-because").forEach((each) => (each.hidden = true));
    all(".fl-right, .fl-outlined").forEach((each) => each.classList.remove("fl-right", "fl-outlined"));
    all(".fl-well-done, #changes, #live").forEach((each) => (each.textContent = ""));
    drawLessons();
    await show("gan", { stage: "", force: true });
    history.replaceState(null, "", location.pathname);
  },
};

element.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-learn]");
  if (button) deeds[button.dataset.learn]?.(button);
});
element.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-learn-form]");
  event.preventDefault();
  if (form) forms[form.dataset.learnForm](form);
});
let recutting = 0;
element.addEventListener("input", (event) => {
  const slider = event.target;
  if (slider.type !== "range") return;
  if (slider.nextElementSibling?.tagName === "OUTPUT") slider.nextElementSibling.value = slider.value;
  if (slider.name === "temperature") {
    drawChoices();
    happened("temperature");
  }
  const form = slider.closest("[data-learn-form=recut]");
  if (!form) return;
  clearTimeout(recutting);
  recutting = setTimeout(forms.recut, 150, form, counting());
});
element.addEventListener("change", (event) => event.target.id === "runs" && show(event.target.value));
for (const kind of ["mouseover", "focusin"]) {
  element.addEventListener(kind, (event) => {
    const mark = event.target.closest?.(".fl-words [data-word]");
    if (mark) light(mark);
  });
}
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (document.body.classList.contains("fl-busy")) return deeds.stop();
  if (stage) {
    const box = find(`.fl-box[data-stage="${stage}"]`);
    closeStage();
    box.focus();
  }
});
