// Figures as people read them: the same as format.rs, for what comes later than the page.

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

const grouped = (number) => String(Math.trunc(number)).replace(/\B(?=(\d{3})+$)/g, ",");

const percent = (share) => `${(Math.floor(share * 1000) / 10).toFixed(1)} %`;

function size(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 999.95 && unit + 1 < UNITS.length) {
    value /= 1000;
    unit += 1;
  }
  return unit === 0 ? `${bytes} B` : `${value.toFixed(1)} ${UNITS[unit]}`;
}

function duration(seconds) {
  const total = Math.trunc(seconds);
  const days = Math.trunc(total / 86400);
  const hours = Math.trunc(total / 3600) % 24;
  const minutes = Math.trunc(total / 60) % 60;
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${total % 60} s` : `${total} s`;
}

const two = (number) => String(number).padStart(2, "0");

// In the time of whoever looks; the date only when it is another day.
export function time(unixSeconds) {
  const at = new Date(unixSeconds * 1000);
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  if (at.toDateString() === new Date().toDateString()) return clock;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock}`;
}

function rung(path) {
  if (path === "socket") return "sockets";
  return path === "off" ? "off" : path.toUpperCase();
}

const KINDS = {
  count: grouped,
  percent,
  rate: (value) => value.toFixed(1),
  bytes: size,
  duration,
  after: (ms) => `+${(ms / 1000).toFixed(3)} s`,
  micros: (us) => `${(us / 1000).toFixed(1)} ms`,
  span: (ms) => `${(ms / 1000).toFixed(1)} s`,
  more: (times) => (times > 1 ? `${grouped(times)} times` : ""),
  time,
  time_ms: (value) => time(value / 1000),
  words: (value) => String(value).replace(/[_-]/g, " "),
  rung,
  list: (value) => (Array.isArray(value) ? value.join(", ") : String(value)),
};

// A value in the words of its kind; nothing for what is not there.
export function told(value, kind) {
  if (kind === "unless_all") return value == null ? "all" : grouped(value);
  if (value == null) return { or_unknown: "?", rate: "no limit known" }[kind] ?? "";
  return (KINDS[kind] ?? String)(value);
}

export const width = (share) => `${(Math.min(Math.max(share ?? 0, 0), 1) * 100).toFixed(2)}%`;
