// The plots of the Learn page. Plotly draws them; its script comes from this machine, once there is a plot to be seen.

const CONFIG = { displayModeBar: false, displaylogo: false, showSendToCloud: false, showTips: false, scrollZoom: false, doubleClick: false };
const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "star"]; // as in preparing.py
const plots = (root = document) => all(".fl-plot", root).filter((figure) => figure.offsetParent);
const style = () => getComputedStyle(find(".fl-page"));
const colour = (name) => style().getPropertyValue(name).trim();
const letterSize = () => 0.8 * parseFloat(style().fontSize);

let plotly = null;
function loadPlotly() {
  plotly ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = find(".fl-page").dataset.plotly;
    script.onload = () => done(window.Plotly);
    script.onerror = () => failed(new Error(script.src));
    document.head.append(script);
  }).catch((error) => {
    plotly = null; // the next plot tries again
    throw error;
  });
  return plotly;
}

// What all plots look like; `margin` leaves room for axes, `over` is what one kind adds.
function layout(height, margin, over) {
  const axis = { fixedrange: true, zeroline: false, gridcolor: colour("--fg-line"), linecolor: colour("--fg-line"), color: colour("--fg-quiet") };
  const label = { bgcolor: colour("--fg-card"), bordercolor: colour("--fg-quiet"), font: { color: colour("--fg-ink"), size: letterSize() } };
  return {
    height,
    margin: { l: 0, r: 0, t: 0, b: 0, ...margin },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: style().fontFamily, size: letterSize(), color: colour("--fg-ink") },
    hoverlabel: { ...label, align: "left" },
    dragmode: false, // so that a finger scrolls the page
    showlegend: false,
    ...over,
    xaxis: { ...axis, ...over.xaxis },
    yaxis: { ...axis, ...over.yaxis },
  };
}

// Letters beside their points, each where none was put before; all in pixels of the canvas.
function spread(points, width, height, taken) {
  const size = letterSize();
  const free = (box) =>
    box.left >= 0 && box.right <= width && box.top >= 0 && box.bottom <= height &&
    !taken.some((other) => box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom);
  return points.map((point) => {
    const half = { x: (point.text.length * size * 0.62) / 2 + 4, y: size * 0.75 };
    const around = (far, turn) => ({ x: Math.cos(turn) * (far + half.x), y: Math.sin(turn) * (far + half.y) });
    const box = ({ x, y }) => ({ left: point.x + x - half.x, right: point.x + x + half.x, top: point.y + y - half.y, bottom: point.y + y + half.y });
    const turns = point.turns ?? [-90, -45, -135, 0, 180, 45, 135, 90];
    const offsets = [4, 14, 26, 40, 56, 74].flatMap((far) => turns.map((turn) => around(far, (turn * Math.PI) / 180)));
    const offset = offsets.find((each) => free(box(each))) ?? offsets[0];
    taken.push(box(offset));
    return { text: `<b>${point.text}</b>`, ax: offset.x, ay: offset.y, showarrow: true, arrowhead: 0, arrowwidth: 1, arrowcolor: colour(point.colour), standoff: 2, borderpad: 0, bgcolor: `${colour("--fg-card")}cc`, font: { color: colour(point.colour) } };
  });
}

// Each kind of plot: what Plotly is given, from what the server read in the run. Points of the first trace can be walked through.
const kinds = {
  columns(content, width) {
    const height = 190;
    const margin = { l: 3.2 * letterSize(), b: 2 * letterSize(), t: 4 };
    const inner = { x: width - margin.l, y: height - margin.b - margin.t };
    const count = content.values.length;
    const largest = (content.largest ?? Math.max(...content.values, 0)) || 1;
    const top = content.letters.some(Boolean) ? largest * 1.45 : largest * 1.05;
    const marked = content.letters.flatMap((name, n) => (name ? [n] : []));
    const broad = Math.max(1, (4 * count) / inner.x); // a passage that was read is seen among hundreds
    const places = content.values.map((_, n) => n);
    const points = marked.map((n) => ({
      text: content.letters[n],
      x: margin.l + ((n + 0.5) / count) * inner.x,
      y: margin.t + (1 - content.values[n] / top) * inner.y,
      colour: content.colours[n],
      turns: [-90, -60, -120, -30, -150],
    }));
    const bar = { type: "bar", x: places, y: content.values, hovertext: content.values.map((value) => value.toFixed(2)), hoverinfo: "text" };
    return {
      data: [
        { ...bar, marker: { color: content.colours.map(colour), line: { width: 0 } } },
        { ...bar, width: broad, y: content.values.map((value, n) => (content.letters[n] ? value : null)), marker: { color: content.colours.map(colour), line: { width: 0 } }, hoverinfo: "skip" },
      ],
      layout: layout(height, margin, {
        bargap: count > 60 ? 0 : 0.2,
        barmode: "overlay",
        hovermode: "x",
        xaxis: { range: [-0.5, count - 0.5], showticklabels: false, showgrid: false, title: { text: content.across, standoff: 4 } },
        yaxis: { range: [0, top], nticks: 4, title: { text: content.down, standoff: 4 } },
        annotations: spread(points, width, height, []).map((each, n) => ({ ...each, x: marked[n], y: content.values[marked[n]] })),
      }),
    };
  },

  rows(content, width) {
    const size = letterSize();
    const several = content.series.length > 1;
    const pitch = size * (several ? 3.6 : 3);
    const count = content.labels.length;
    const margin = { t: several ? 2.2 * size : 0 };
    const said = content.brief ?? content.told;
    const room = (n) => Math.max(8, Math.floor((width - said[n].length * size * 0.56 - 16) / (size * 0.56)));
    const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}\u2026` : text);
    const note = { showarrow: false, yanchor: "bottom", xref: "paper", yshift: several ? 3 : 0 };
    return {
      data: content.series.map((series, place) => ({
        type: "bar",
        orientation: "h",
        name: series.name,
        y: content.labels.map((_, n) => n),
        x: series.values,
        hovertext: content.told,
        hoverinfo: "text",
        offset: several ? (place ? 0.18 : -0.04) : 0.06,
        width: several ? 0.2 : 0.3,
        marker: { color: content.labels.map((_, n) => colour(series.colours[n % series.colours.length])) },
      })),
      layout: layout(count * pitch + margin.t, margin, {
        hovermode: "closest",
        showlegend: several,
        legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", itemclick: false, itemdoubleclick: false },
        xaxis: { range: [0, content.largest], showticklabels: false, showgrid: false },
        yaxis: { range: [count - 0.5, -0.5], showticklabels: false, showgrid: false },
        annotations: content.labels.flatMap((label, n) => [
          { ...note, x: 0, xanchor: "left", y: n, text: plain(short(label, room(n))) },
          { ...note, x: 1, xanchor: "right", y: n, text: plain(said[n]), font: { color: colour("--fg-quiet") } },
        ]),
      }),
    };
  },

  strip(content, width) {
    const across = width < 600 ? 48 : 96;
    const lines = [];
    for (let start = 0; start < content.values.length; start += across) lines.push(content.values.slice(start, start + across));
    const largest = Math.max(...content.values.map(Math.abs)) || 1;
    const number = (value, r, n) => `number ${r * across + n + 1}: ${value.toFixed(3)}`;
    content.told = content.values.map((value, n) => number(value, 0, n));
    content.across = across;
    return {
      data: [
        {
          type: "heatmap",
          z: lines,
          text: lines.map((line, r) => line.map((value, n) => number(value, r, n))),
          hoverinfo: "text",
          zmin: -largest,
          zmax: largest,
          xgap: 1,
          ygap: 1,
          showscale: false,
          colorscale: [[0, colour("--fl-minus")], [0.5, colour("--fg-card")], [1, colour("--fl-plus")]],
        },
      ],
      layout: layout(lines.length * 16, {}, {
        hovermode: "closest",
        xaxis: { visible: false },
        yaxis: { visible: false, autorange: "reversed" },
      }),
    };
  },

  map(content, width) {
    const height = Math.max(300, Math.min(520, width * 0.62));
    const edge = 26;
    const [asked, down] = content.question;
    const xs = [...content.x, asked];
    const ys = [...content.y, down];
    // One unit is as long across as it is up, or distances on the map would lie twice.
    const unit = Math.max((Math.max(...xs) - Math.min(...xs)) / (width - 2 * edge), (Math.max(...ys) - Math.min(...ys)) / (height - 2 * edge)) || 1;
    const range = (numbers, long) => {
      const middle = (Math.max(...numbers) + Math.min(...numbers)) / 2;
      return [middle - (unit * long) / 2, middle + (unit * long) / 2];
    };
    const [left, right] = range(xs, width);
    const [bottom, top] = range(ys, height);
    const pixel = (x, y) => ({ x: (x - left) / unit, y: (top - y) / unit });
    const read = content.letters.flatMap((name, n) => (name ? [n] : []));
    const points = [{ text: "question", ...pixel(asked, down), colour: "--fg-bad" }];
    points.push(...read.map((n) => ({ text: content.letters[n], ...pixel(content.x[n], content.y[n]), colour: content.colours[n] })));
    const taken = points.map(({ x, y }) => ({ left: x - 7, right: x + 7, top: y - 7, bottom: y + 7 }));
    const at = [[asked, down], ...read.map((n) => [content.x[n], content.y[n]])];
    return {
      data: [
        {
          type: "scatter",
          mode: "markers",
          x: content.x,
          y: content.y,
          hovertext: content.told.map((told) => plain(told.replace(/^.*: (?=nearness)/, ""))),
          hoverinfo: "text",
          marker: {
            color: content.groups.map((group, n) => colour(content.colours[n] || `--fl-group-${group}`)),
            symbol: content.groups.map((group) => SYMBOLS[group]),
            size: content.letters.map((name) => (name ? 13 : 7)),
            opacity: content.letters.map((name) => (name ? 1 : 0.75)),
            line: { width: content.letters.map((name) => (name ? 1.5 : 0)), color: colour("--fg-ink") },
          },
        },
        { type: "scatter", mode: "lines", hoverinfo: "skip", x: read.flatMap((n) => [asked, content.x[n], null]), y: read.flatMap((n) => [down, content.y[n], null]), line: { color: colour("--fl-b"), width: 1.5 } },
        { type: "scatter", mode: "markers", hoverinfo: "skip", x: [asked], y: [down], marker: { symbol: "cross-thin", size: 15, line: { width: 3, color: colour("--fg-bad") } } },
      ],
      layout: layout(height, {}, {
        hovermode: "closest",
        xaxis: { range: [left, right], showticklabels: false },
        yaxis: { range: [bottom, top], showticklabels: false },
        annotations: spread(points, width, height, taken).map((each, n) => ({ ...each, x: at[n][0], y: at[n][1] })),
      }),
    };
  },
};

// Plotly reads a few tags in its labels; texts of documents are only text.
const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");

// Draws what is to be seen and is not drawn yet, or was drawn for another width, colour or size of letters.
async function drawPlots(root = document) {
  for (const figure of plots(root)) {
    const canvas = find(".fl-canvas", figure);
    const wanted = [canvas.clientWidth, letterSize(), colour("--fg-ink"), figure.dataset.content].join();
    if (figure.drawn === wanted) continue;
    figure.drawn = wanted;
    const content = JSON.parse(figure.dataset.content);
    try {
      const { newPlot, react } = await loadPlotly();
      if (!figure.offsetParent) {
        figure.drawn = ""; // closed while Plotly was loaded: it has no width now
        continue;
      }
      const made = kinds[figure.dataset.plot](content, canvas.clientWidth);
      await (canvas.data ? react : newPlot)(canvas, made.data, made.layout, CONFIG);
      figure.content = content;
    } catch (error) {
      figure.drawn = "";
      tell(figure, "This picture could not be drawn; its numbers stand in the table below.");
      console.warn("plot", error);
      continue;
    }
    if (figure.heeded) continue;
    figure.heeded = true;
    for (const what of ["plotly_hover", "plotly_click"]) canvas.on(what, ({ points }) => look(figure, points[0].pointNumber ?? points[0].pointIndex));
  }
}

function tell(figure, text) {
  find(".fl-readout", figure).textContent = text;
}

// The point that is looked at, by pointer, finger or arrow key: its number said in full below the plot.
function look(figure, point) {
  const number = Array.isArray(point) ? point[0] * figure.content.across + point[1] : point;
  figure.at = number;
  const label = figure.content.labels?.[number];
  tell(figure, label === undefined ? figure.content.told[number] : `${label}: ${figure.content.told[number]}`);
}

function walk(figure, key) {
  const { told, order = told.map((_, n) => n), across } = figure.content;
  if (!told.length) return;
  const now = figure.at === undefined ? -1 : order.indexOf(figure.at);
  const steps = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: order.length - 1 };
  const number = order[Math.max(0, Math.min(order.length - 1, steps[key]))];
  const pointNumber = figure.dataset.plot === "strip" ? [Math.floor(number / across), number % across] : number;
  window.Plotly.Fx.hover(find(".fl-canvas", figure), [{ curveNumber: 0, pointNumber }]);
  look(figure, number);
}

element.addEventListener("keydown", (event) => {
  const figure = event.target.closest?.(".fl-plot");
  if (!figure?.content || !["ArrowRight", "ArrowLeft", "Home", "End"].includes(event.key)) return;
  event.preventDefault();
  walk(figure, event.key);
});
let redrawing = 0;
function redraw() {
  clearTimeout(redrawing);
  redrawing = setTimeout(drawPlots, 100);
}
new ResizeObserver(redraw).observe(element);
