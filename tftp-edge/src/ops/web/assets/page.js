// Renews what a page shows: figures from one stream of snapshots, lists by asking again.
//
// Elements say what they show: data-bind="a.b" their text and data-as how it is written, data-each a
// list whose rows are copies of its template, data-show and data-unless whether they are there. All
// of it ends up in textContent: what phones and people wrote is never markup.

import { chart } from "./chart.js";
import { time, told, width } from "./format.js";

// Snapshots come every second; without one for so long the connection is lost, whatever it says.
const SILENT_MS = 5000;
const AGAIN_MS = 5000;

const at = (item, path) => path.split(".").reduce((value, key) => value?.[key], item);

const isThere = (value) => Boolean(value) && value.length !== 0;

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

// Rows are kept where they are, so that nobody's focus or selection is lost.
function renewRows(list, items) {
  const template = list.querySelector(":scope > template");
  const rows = [...list.children].filter((row) => row !== template);
  items.forEach((item, place) => {
    const row = rows[place] ?? list.appendChild(template.content.firstElementChild.cloneNode(true));
    renew(row, item);
  });
  rows.slice(items.length).forEach((row) => row.remove());
}

function renew(element, item) {
  const { bind, as, each, show, unless, href, of, mark, width: share } = element.dataset;
  if (show !== undefined) element.hidden = !isThere(at(item, show));
  if (unless !== undefined) element.hidden = isThere(at(item, unless));
  if (href !== undefined) setAttribute(element, "href", href + encodeURIComponent(at(item, of) ?? ""));
  if (mark !== undefined) setAttribute(element, "data-state", String(at(item, mark) ?? ""));
  if (share !== undefined) setAttribute(element, "width", width(at(item, share)));
  if (each !== undefined) return renewRows(element, at(item, each) ?? []);
  if (bind !== undefined) return setText(element, told(at(item, bind), as));
  for (const child of element.children) {
    if (child.dataset.from === undefined) renew(child, item);
  }
}

const charts = [...document.querySelectorAll("[data-history]")];
let points = [];

// A point each five seconds, as the daemon keeps them; in between, the last one follows.
function follow(now) {
  if (charts.length === 0) return;
  const point = { ...now.storm, at_ms: now.at_ms, registered: now.phones.registered };
  const before = points.at(-2);
  if (before !== undefined && now.at_ms - before.at_ms < 5000) points.pop();
  points.push(point);
  points = points.filter((it) => now.at_ms - it.at_ms <= 600_000);
  charts.forEach((element) => chart(element, points));
}

function show(now) {
  for (const root of document.querySelectorAll('[data-from="now"]')) renew(root, now);
  follow(now);
}

const link = document.getElementById("link");
const lost = document.getElementById("lost");
let source = null;
let heardAt = Date.now();

function hear(event) {
  heardAt = Date.now();
  const now = JSON.parse(event.data);
  lost.hidden = true;
  document.documentElement.dataset.link = "live";
  setText(link, `live, ${time(now.at_ms / 1000)}`);
  setAttribute(link, "data-state", "good");
  show(now);
}

function lose() {
  if (document.documentElement.dataset.link === "lost") return;
  document.documentElement.dataset.link = "lost";
  setText(lost, `Connection lost. What is shown is of ${time(heardAt / 1000)}; trying again.`);
  lost.hidden = false;
  setText(link, "connection lost");
  setAttribute(link, "data-state", "bad");
}

function close() {
  source?.close();
  source = null;
}

function connect() {
  close();
  heardAt = Date.now();
  source = new EventSource(document.body.dataset.events);
  source.addEventListener("now", hear);
  source.addEventListener("error", lose);
}

// The browser tries again by itself, but not after an answer that was none.
setInterval(() => {
  if (document.hidden || source === null) return;
  if (Date.now() - heardAt > SILENT_MS) lose();
  if (source.readyState === EventSource.CLOSED) connect();
}, AGAIN_MS / 2);

// A page that nobody sees needs no figures; and a browser has few connections for one server.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) close();
  else connect();
});

async function ask(root) {
  if (document.hidden || root.dataset.asking !== undefined) return;
  root.dataset.asking = "";
  try {
    const answer = await fetch(root.dataset.from);
    if (answer.ok) renew(root, await answer.json());
  } catch {
    // The stream of snapshots tells that the connection is lost.
  } finally {
    delete root.dataset.asking;
  }
}

for (const root of document.querySelectorAll("[data-every]")) {
  setInterval(() => ask(root), Number(root.dataset.every) * 1000);
}

for (const stamp of document.querySelectorAll("time[data-unix]")) {
  stamp.title = stamp.textContent;
  setText(stamp, time(Number(stamp.dataset.unix)));
}

for (const element of charts) {
  const answer = await fetch(element.dataset.history);
  if (answer.ok) points = await answer.json();
  chart(element, points);
}
new ResizeObserver(() => charts.forEach((element) => chart(element, points))).observe(document.body);

connect();
