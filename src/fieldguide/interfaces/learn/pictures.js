// The second part of learn.js: pictures that answer to the learner, and jobs that are waited for. Both run as one script.

// Words that met
function light(mark) {
  const box = mark.closest(".fl-words");
  all(".fl-lit", box).forEach((each) => each.classList.remove("fl-lit"));
  const words = mark.dataset.word.split(" ");
  for (const each of all("[data-word]", box)) {
    if (each.dataset.word.split(" ").some((word) => words.includes(word))) each.classList.add("fl-lit");
  }
  happened("word");
}

// Tokens and temperature: the shares of the recorded runners-up among each other
let chosen = null;
function chooseToken(button, { quietly = false } = {}) {
  if (!button) return;
  chosen = button;
  all(".fl-token").forEach((each) => each.setAttribute("aria-pressed", each === button));
  drawChoices();
  if (!quietly) happened("token");
}

function drawChoices() {
  const box = find(".fl-choices");
  if (!box || !chosen?.isConnected) return;
  const temperature = Number(find("[name=temperature]")?.value ?? 1);
  const choices = JSON.parse(chosen.dataset.choices);
  const weights = choices.map(([, score], place) =>
    temperature ? Math.exp((score - choices[0][1]) / temperature) : Number(place === 0),
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0) || 1;
  const named = (name) => name.replace(/ /g, "\u00b7").replace(/\n/g, "\u21b5") || "(end)";
  const percent = (share) => `${(100 * share).toFixed(1)}%`;
  const recorded = choices.map(([, score]) => Math.exp(score));
  const content = {
    labels: choices.map(([name]) => named(name)),
    told: weights.map((weight) => percent(weight / total)),
    largest: 1,
    series: [
      { name: `at temperature ${temperature}`, values: weights.map((weight) => weight / total), colours: choices.map(([name]) => (name === chosen.dataset.text ? "--fg-accent" : "--fl-b")) },
      { name: "as recorded", values: recorded, colours: ["--fl-grey"] },
    ],
  };
  const figure = find(".fl-plot", box);
  figure.hidden = !choices.length;
  figure.dataset.content = JSON.stringify(content);
  const rows = choices.map((_, place) => [content.labels[place], percent(recorded[place]), content.told[place]]);
  const body = find("tbody", box);
  body.replaceChildren(...rows.map((cells) => {
    const row = document.createElement("tr");
    row.append(...cells.map((cell) => Object.assign(document.createElement("td"), { textContent: cell })));
    return row;
  }));
  const first = rows.slice(0, 3).map(([name, , share]) => `${name} ${share}`).join(", ");
  tell(figure, choices.length ? `\u201c${named(chosen.dataset.text)}\u201d was taken. At temperature ${temperature}: ${first}` : "");
  drawPlots(box);
}

// The address tells where the learner is
function address() {
  const wanted = new URLSearchParams();
  if (lesson) wanted.set("lesson", lesson);
  if (trace() && !trace().startsWith("live-")) wanted.set("question", trace());
  if (kept.presenter) wanted.set("presenter", "1");
  // With its path: Gradio's pages have a base, to which a bare query would belong.
  history.replaceState(null, "", `${location.pathname}?${wanted}`);
}

// Jobs: a live question, an experiment, a measurement
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
async function served(name, order) {
  const lost = { failure: "Fieldguide does not answer. Start it again with: fieldguide chat", lost: true };
  try {
    return (await server[name](order)) ?? lost; // Gradio gives nothing where a request fails
  } catch {
    return lost;
  }
}

async function waited(begun, said, isWanted) {
  if (begun.failure) {
    said(begun.failure);
    return null;
  }
  for (;;) {
    const reply = await served("progress", { job: begun.job });
    if (!isWanted()) return null;
    said(reply.failure || `${reply.status ?? ""}${reply.text ? `: ${reply.text}` : ""}`);
    if (reply.failure && !reply.lost) return null;
    if (reply.done) return reply;
    await pause(reply.lost ? 2000 : 250); // it may only be busy
  }
}

// One job at a time keeps the page busy and can be stopped.
function unfollow() {
  if (job) served("stop", { job });
  job = "";
  document.body.classList.remove("fl-busy");
}

async function follow(begun) {
  if (!begun.failure) {
    unfollow();
    job = begun.job;
    document.body.classList.add("fl-busy");
  }
  const reply = await waited(begun, say, () => job === begun.job);
  if (job === begun.job) {
    job = "";
    document.body.classList.remove("fl-busy");
  }
  return reply;
}

// Until live runs can begin, it is said what they wait for.
async function tellReadiness() {
  const state = find("#engine-state");
  for (;;) {
    const { ready, status, failure, lost } = await served("ready", {});
    if (lost) state.textContent = failure;
    else if (failure) state.textContent = `Recorded runs only: ${failure}`;
    else if (ready) state.textContent = "The model is ready: questions and experiments run live.";
    else state.textContent = `Recorded runs work at once; live ones wait for the model. ${status}`;
    if (ready || (failure && !lost)) return;
    await pause(2000);
  }
}

// Deep links: ?lesson=NAME&question=RUN (or a question to be asked live)&presenter=1
async function start() {
  if (!find(".fl-lesson")) return setTimeout(start, 20);
  try {
    await followLink();
  } finally {
    document.body.classList.add("fl-started");
    tellReadiness();
  }
}

async function followLink() {
  const wanted = new URLSearchParams(location.search);
  if (wanted.get("presenter") === "1") kept.presenter = true;
  drawLessons();
  const question = wanted.get("question");
  const known = question && [...find("#runs").options].some((option) => option.value === question);
  if (wanted.get("lesson") && find(`.fl-lesson[data-lesson="${CSS.escape(wanted.get("lesson"))}"]`)) await openLesson(wanted.get("lesson"));
  if (known) await show(question);
  else if (question) {
    find("#fl-question").value = question;
    forms.ask(find("[data-learn-form=ask]"));
  }
}

start();
