// The second half of learn.js: pictures that answer to the learner, and jobs that are waited for. Both run as one script.

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
  const list = document.createElement("ul");
  list.className = "fl-bars";
  choices.forEach(([name], place) => {
    const share = weights[place] / total;
    const row = document.createElement("li");
    row.className = `fl-bar${name === chosen.dataset.text ? " fl-followed" : ""}`;
    row.innerHTML = "<span class='fl-bar-label'></span><span class='fl-bar-track' aria-hidden='true'><span></span></span>";
    find(".fl-bar-label", row).textContent = name.replace(/ /g, "\u00b7").replace(/\n/g, "\u21b5") || "(end)";
    find(".fl-bar-track span", row).style.width = `${100 * share}%`;
    const said = document.createElement("span");
    said.className = "fl-bar-said";
    said.textContent = `${(100 * share).toFixed(1)}%`;
    row.append(said);
    list.append(row);
  });
  box.replaceChildren(choices.length ? list : "No runners-up were recorded for this token.");
}

// Jobs: a live question, an experiment, a measurement
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
async function follow(begun) {
  if (begun.failure) {
    say(begun.failure);
    return null;
  }
  const mine = (job = begun.job);
  document.body.classList.add("fl-busy");
  try {
    for (;;) {
      const reply = await server.progress({ job: mine });
      if (job !== mine) return null;
      say(reply.failure || `${reply.status ?? ""}${reply.text ? `: ${reply.text}` : ""}`);
      if (reply.failure) return null;
      if (reply.done) return reply;
      await pause(250);
    }
  } catch {
    say("Fieldguide does not answer. Start it again with: fieldguide chat");
    return null;
  } finally {
    if (job === mine) document.body.classList.remove("fl-busy");
  }
}

start();
