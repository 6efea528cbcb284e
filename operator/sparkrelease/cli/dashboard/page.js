// Draws data.json again every few seconds. All text goes through textContent: nothing from a cluster is ever markup.
"use strict";

const EVERY = 3000;
const SVG = "http://www.w3.org/2000/svg";
const MARKS = {healthy: "✔", breached: "✖", unknown: "?"};
const VERDICTS = {Pass: "healthy", Fail: "breached", Error: "breached"};

function make(tag, classes, text) {
  const node = document.createElement(tag);
  if (classes) node.className = classes;
  if (text !== undefined) node.textContent = text;
  return node;
}

function draw(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  return node;
}

function traffic(release) {
  return release.mirror ? `${release.mirror} % mirrored` : `${release.weight} %`;
}

function weightBar(weight) {
  const bar = draw("svg", {class: "bar", viewBox: "0 0 100 8", preserveAspectRatio: "none", role: "img",
    "aria-label": `canary weight ${weight} percent`});
  bar.append(draw("rect", {class: "all", width: 100, height: 8}), draw("rect", {class: "canary", width: weight, height: 8}));
  return bar;
}

function chart(rule) {
  const width = 132, height = 34, edge = 3;
  const values = rule.samples.map((sample) => sample.value).filter((value) => value !== null);
  const level = rule.level === null ? [] : [rule.level];
  const top = Math.max(0, ...values, ...level) || 1, bottom = Math.min(0, ...values);
  const x = (at) => edge + (rule.samples.length < 2 ? width - 2 * edge
    : (at * (width - 2 * edge)) / (rule.samples.length - 1));
  const y = (value) => height - edge - ((value - bottom) / (top - bottom)) * (height - 2 * edge);
  const svg = draw("svg", {class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `${rule.rule}: last ${values.length} values, limit ${rule.limit || "none"}`});
  if (rule.level !== null) svg.append(draw("line", {class: "limit", x1: 0, x2: width, y1: y(rule.level), y2: y(rule.level)}));
  let points = [];
  const flush = () => {
    if (points.length > 1) svg.append(draw("polyline", {points: points.join(" ")}));
    points = [];
  };
  rule.samples.forEach((sample, at) => {
    if (sample.value === null) return flush();
    points.push(`${x(at)},${y(sample.value)}`);
    const failed = sample.verdict === "Fail";
    if (failed || at === rule.samples.length - 1) {
      svg.append(draw("circle", {class: failed ? "failed" : "", cx: x(at), cy: y(sample.value), r: failed ? 2.6 : 2}));
    }
  });
  flush();
  return svg;
}

function ruleLine(rule) {
  const line = make("li");
  const kind = VERDICTS[rule.verdict] || "unknown";
  const limit = rule.limit ? ` (limit ${rule.limit})` : "";
  const name = make("div");
  name.append(make("span", kind, `${MARKS[kind]} ${rule.verdict} `), make("span", "", rule.rule));
  line.append(name, chart(rule), make("div", "quiet", `${rule.value || "no value"}${limit}`));
  return line;
}

function card(release) {
  const article = make("article");
  const word = MARKS[release.health] ? release.health : "unknown";
  const top = make("div", "top");
  top.append(make("h2", "", release.name), make("span", "", release.version), make("span", `word ${word}`, `${MARKS[word]} ${word}`));
  const stage = release.stage ? `, stage ${release.stage}` : "";
  const checked = release.verified ? ", verified" : "";
  article.append(top, make("p", "quiet", release.why), weightBar(release.weight),
    make("p", "quiet", `${release.phase}${stage}, canary ${traffic(release)}${checked}`));
  const rules = make("ul", "rules");
  rules.append(...release.rules.map(ruleLine));
  article.append(rules);
  return article;
}

async function look() {
  const seen = document.getElementById("seen");
  try {
    const answer = await fetch("data.json", {cache: "no-store"});
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const data = await answer.json();
    const cards = data.releases.map(card);
    document.getElementById("releases").replaceChildren(...cards);
    const when = data.at ? `seen at ${data.at.slice(11, 19)} UTC` : "";
    seen.textContent = data.problem ? `${data.problem} ${when}` : `${cards.length} in sight, ${when}`;
    seen.classList.toggle("trouble", Boolean(data.problem));
  } catch (problem) {
    seen.textContent = `kubectl sparkrelease dashboard does not answer any more: what is below is old (${problem.message})`;
    seen.classList.add("trouble");
  }
  setTimeout(look, EVERY);
}

look();
