// The last ten minutes of a storm, drawn as SVG by its attributes: the page allows no inline style.

// As much of ten minutes as there is, so that a storm that has just begun is not a single stroke.
const SPANS_MS = [120_000, 300_000, 600_000];
const LEFT = 52;
const BOTTOM = 20;
const TOP = 22;
const HEIGHT = 150;

const PANELS = [
  { title: "Phones that wait", series: [{ key: "waiting", name: "wait", kind: "first" }] },
  {
    title: "New phones a second",
    series: [
      { key: "arrivals_per_second", name: "come", kind: "second" },
      { key: "served_per_second", name: "are served", kind: "first" },
    ],
  },
];

function make(parent, name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return parent.appendChild(element);
}

// A round number that is not less: 1, 2 or 5 of some power of ten.
function ceiling(value) {
  if (value <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((times) => times * power).find((it) => it >= value);
}

const short = (value) => (value >= 1000 ? `${value / 1000}k` : String(value));

function panel(svg, { title, series }, points, top, right, end, span) {
  const inner = HEIGHT - TOP - BOTTOM;
  const most = Math.max(...series.flatMap(({ key }) => points.map((point) => point[key] ?? 0)), 0);
  const ceil = ceiling(most);
  const x = (at) => LEFT + ((at - (end - span)) / span) * (right - LEFT);
  const y = (value) => top + TOP + inner * (1 - value / ceil);
  make(svg, "text", { x: 0, y: top + 12, class: "chart-title" }, title);
  for (const value of [0, ceil / 2, ceil]) {
    make(svg, "line", { x1: LEFT, x2: right, y1: y(value), y2: y(value), class: "chart-grid" });
    make(svg, "text", { x: LEFT - 6, y: y(value) + 4, class: "chart-label chart-end" }, short(value));
  }
  for (const [part, anchor] of [[1, "chart-start"], [0.5, "chart-middle"], [0, "chart-end"]]) {
    const words = part === 0 ? "now" : `${(part * span) / 60_000} min ago`;
    const place = { x: x(end - part * span), y: top + HEIGHT - 4 };
    make(svg, "text", { ...place, class: `chart-label ${anchor}` }, words);
  }
  series.forEach(({ key, name, kind }, index) => {
    const seen = points.filter((point) => end - point.at_ms <= span);
    const steps = seen.map((point) => `${x(point.at_ms).toFixed(1)} ${y(point[key] ?? 0).toFixed(1)}`);
    if (steps.length > 1) make(svg, "path", { d: `M${steps.join("L")}`, class: `chart-line chart-${kind}` });
    if (series.length < 2) return;
    const left = right - 170 + index * 80;
    make(svg, "path", { d: `M${left} ${top + 8}h18`, class: `chart-line chart-${kind}` });
    make(svg, "text", { x: left + 24, y: top + 12, class: "chart-label" }, name);
  });
  return `${title}: ${most} at most, ${points.at(-1)?.[series[0].key] ?? 0} now.`;
}

export function chart(element, points) {
  element.hidden = false;
  const width = Math.max(element.clientWidth, 240);
  const height = PANELS.length * (HEIGHT + 14);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const end = points.at(-1)?.at_ms ?? Date.now();
  const oldest = points[0]?.at_ms ?? end;
  const span = SPANS_MS.find((it) => end - oldest <= it) ?? SPANS_MS.at(-1);
  const box = { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" };
  for (const [key, value] of Object.entries(box)) svg.setAttribute(key, value);
  const told = PANELS.map((it, place) => panel(svg, it, points, place * (HEIGHT + 14), width - 4, end, span));
  svg.setAttribute("aria-label", told.join(" "));
  element.replaceChildren(svg);
}
