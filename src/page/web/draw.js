// What everything else draws with: elements, numbers, times, lines.

const kSvg = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

// element("td", {className: "number"}, "12", child)
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children.filter((child) => child !== null));
  return made;
}

// Changes text only where it differs, so that selections and screen readers are left alone.
export function text(id, value) {
  const target = $(id);
  if (target.textContent !== value) target.textContent = value;
}

const whole = new Intl.NumberFormat("en", {maximumFractionDigits: 0});
const compact = new Intl.NumberFormat("en", {notation: "compact", maximumFractionDigits: 1});

export const number = (value) => (value < 1e6 ? whole.format(value) : compact.format(value));

export function milliseconds(value) {
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return `${value >= 10 ? value.toFixed(0) : value.toPrecision(2)} ms`;
}

export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

// `unix_s` as this machine's clock sees it; a server a little ahead is "just now".
export function ago(unix_s) {
  const seconds = Date.now() / 1000 - unix_s;
  return seconds < 1.5 ? "just now" : `${duration(seconds)} ago`;
}

// A line with a filled area, the values from left to right, 0 at the bottom.
export function sparkline(id, values, label) {
  const svg = $(id);
  const width = Math.max(values.length - 1, 1);
  const height = 30;
  const top = Math.max(...values, 1e-9);
  const points = values.map((v, x) => `${x} ${(height - 1 - (v / top) * (height - 3)).toFixed(2)}`);
  if (!svg.firstChild) {
    svg.setAttribute("preserveAspectRatio", "none");
    svg.append(document.createElementNS(kSvg, "path"), document.createElementNS(kSvg, "path"));
    svg.children[0].setAttribute("class", "area");
    svg.children[1].setAttribute("class", "line");
  }
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("aria-label", label);
  svg.children[0].setAttribute("d", `M0 ${height} L${points.join(" L")} L${width} ${height} Z`);
  svg.children[1].setAttribute("d", `M${points.join(" L")}`);
}

// Makes `parent` hold one child a item, in order. A child is made again only when `stamp` of its
// item changed, so that focus and images stay.
export function reconcile(parent, items, key, stamp, make) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstChild;
  for (const item of items) {
    const id = String(key(item));
    let child = old.get(id);
    old.delete(id);
    if (!child || child.dataset.stamp !== stamp(item)) {
      const made = make(item);
      made.dataset.key = id;
      made.dataset.stamp = stamp(item);
      if (child) {
        if (place === child) place = made;
        child.replaceWith(made);
      }
      child = made;
    }
    if (child === place) {
      place = place.nextSibling;
    } else {
      parent.insertBefore(child, place);
    }
  }
  for (const child of old.values()) child.remove();
}
