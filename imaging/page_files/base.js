// Elements, numbers and order statistics. Text from the plate enters the page here, as text and never as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element. `properties`: class, dataset, on (listeners), anything else is an attribute. Strings become text. */
function make(tag, properties = {}, ...children) {
  return furnish(document.createElement(tag), properties, children);
}

/** Make an SVG element, as `make` does. */
function draw(tag, properties = {}, ...children) {
  return furnish(document.createElementNS(SVG, tag), properties, children);
}

function furnish(element, { on = {}, dataset = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  Object.assign(element.dataset, dataset);
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  return fill(element, ...children);
}

/** Replace what an element holds; null stands for nothing. */
function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const byId = (id) => document.getElementById(id);
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** A number for people: 1,234, 0.0312, 1.2e-7; an en dash where there is none. */
function show(value, digits = 4) {
  if (!isNumber(value)) return "–";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e9) return value.toLocaleString("en");
  if (size >= 1e6 || (size > 0 && size < 1e-3)) return value.toExponential(Math.min(digits, 3) - 1);
  return value.toLocaleString("en", { maximumSignificantDigits: digits });
}

/** Quantile of numbers sorted upwards, between neighbours by their distance. */
function quantile(sorted, share) {
  if (!sorted.length) return null;
  const place = (sorted.length - 1) * share;
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}

const sortedNumbers = (values) => values.filter(isNumber).sort((a, b) => a - b);
const median = (values) => quantile(sortedNumbers(values), 0.5);

/** Median and 1.4826 times the median absolute deviation. */
function centreAndSpread(values) {
  const centre = median(values);
  if (centre === null) return { centre: null, spread: null };
  return { centre, spread: 1.4826 * median(values.filter(isNumber).map((value) => Math.abs(value - centre))) };
}

/** Round steps for an axis: 1, 2 or 5 times a power of ten. */
function ticks(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) found.push(i * step);
  return found;
}

/** A name that may be broken after its underscores, and nowhere else. */
const breakable = (name) => {
  const parts = String(name ?? "").match(/[^_]*_+|[^_]+/g) ?? [];
  return parts.flatMap((part, i) => (i ? [make("wbr"), part] : [part]));
};

const CONTROL_WORDS = { negcon: "negative control", poscon: "positive control", empty: "empty well" };
const CONTROL_MARKS = { negcon: "−", poscon: "+", empty: "∅" };
/** Treatment and concentration of a well as a line of text; empty where there is neither. */
function treatmentText(well) {
  const dose = isNumber(well.concentration) ? `${show(well.concentration)}${well.unit ? ` ${well.unit}` : ""}` : "";
  return [well.treatment, dose].filter(Boolean).join(" ");
}

/** Name of a metric with its unit. */
const metricTitle = (metric) => (metric.unit ? `${metric.label} (${metric.unit})` : metric.label);

/** Value of a metric in words, e.g. "187", "0.3 %" or, of a metric with words of its own, "fail". */
function metricText(metric, value) {
  if (!isNumber(value)) return "–";
  return metric.words ? metric.words[value] : `${show(value)}${metric.unit ? ` ${metric.unit}` : ""}`;
}
