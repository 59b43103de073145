// The report's tables as they come, by columns, and what all parts of the page need of them.

/** A table by columns as rows; a column that is not there is null in each. */
function rowsOf(table) {
  const columns = Object.entries(table).filter(([name]) => name !== "rows");
  return Array.from({ length: table.rows }, (_, i) => {
    const row = {};
    for (const [name, values] of columns) row[name] = values.words ? values.words[values.places[i]] : values[i];
    return row;
  });
}

const nothing = (words) => make("p", { class: "muted" }, words);

/** Name of a treatment at a concentration, equal for rows of all tables that are of the same. */
const keyOf = (row) => JSON.stringify([row.treatment, row.concentration ?? null]);

const doseText = (row) =>
  isNumber(row.concentration) ? `${show(row.concentration)}${row.unit ? ` ${row.unit}` : ""}` : "";

/**
 * Wells of each treatment and concentration that are positive controls, by its key. Hits have no concentration where all
 * wells of a treatment are replicates, so that they are counted under the treatment alone too.
 */
function positivesOf(points) {
  const positives = new Map();
  for (const { treatment, concentration, control } of points) {
    if (control !== "poscon") continue;
    const keys = new Set([keyOf({ treatment, concentration }), keyOf({ treatment })]);
    for (const key of keys) positives.set(key, (positives.get(key) ?? 0) + 1);
  }
  return positives;
}

const isPositive = (report, row) => report.positives.has(keyOf(row));

/** Mark of a treatment that is the positive control. */
function positiveBadge(report, row) {
  const count = report.positives.get(keyOf(row));
  if (!count) return null;
  const title = `${show(count)} ${count === 1 ? "well" : "wells"} with this treatment ${count === 1 ? "is a positive control" : "are positive controls"}`;
  return make("span", { class: "badge control", title }, "+ positive control");
}

/** A link to a page beside this one, or its text where the address leads anywhere else. */
function pageLink(url, words, hash = "") {
  return url && isSafeLink(url) ? make("a", { href: `${url}${hash}` }, words) : words;
}

/** Address of a well on its plate's page. */
const wellHash = (well) => (well ? `#${new URLSearchParams({ well })}` : "");

const cell = (value, properties = {}) => make("td", properties, value ?? "");

/** Day and time of a text such as 2026-02-03T04:05:06+00:00, in the words of the text itself. */
const momentText = (text) => (text ? String(text).replace("T", " ").replace(/:\d\d([.]\d+)?([+]00:00|Z)?$/, "") : "");

/** A select that is filled with words; hidden where there is nothing to choose. */
function fillSelect(box, options, chosen) {
  fill(
    box,
    options.map(([value, words]) => make("option", { value, selected: value === chosen }, words)),
  );
  box.hidden = options.length < 2;
}

/** Colours that all common colour visions tell apart (Okabe and Ito 2008), for up to seven categories. */
const CATEGORIES = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800"];
const OTHER = "#8a97a3";
const categoryColour = (place) => CATEGORIES[place] ?? OTHER;

/** Colour of the page's style by its name, for canvas. */
const styleColour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
