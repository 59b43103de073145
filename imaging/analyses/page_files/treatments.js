// The table of treatments: filtered, sorted, a page at a time; thousands of rows cost no more than a page of them.

const PAGE_ROWS = { wide: 40, narrow: 15 };
const KINDS = [
  ["all", "All", () => true],
  ["hits", "Hits", (row) => row.is_hit === true],
  ["none", "No hits", (row) => row.is_hit === false],
  ["open", "Not decided", (row) => row.is_hit === null],
];

/** Columns of numbers: name, head, what it means. */
const NUMBERS = [
  ["map", "mAP", "mean average precision against the negative controls: 1 is told apart every time"],
  ["q", "q", "false discovery rate at which the treatment would be a hit"],
  ["distance", "Distance", "Mahalanobis distance from the negative controls"],
  ["effect", "Effect", "robust z of the single feature that moves most"],
  ["ssmd", "SSMD", "strictly standardised mean difference of that feature"],
  ["viability", "Viability z", "robust z of the number of cells"],
  ["n_replicates", "n", "replicates"],
];

const Q_CRITERIA = ["activity", "distance", "effect", "dose_response", "viability"];

/** What the column of numbers means; q is of one criterion, the first in that order that the recipe has. */
function numberTitle(name, title, criteria) {
  const criterion = name === "q" ? Q_CRITERIA.find((each) => criteria[each]) : null;
  return criterion ? `${title} by the criterion ${criterion}: ${criteria[criterion]}` : title;
}

/** Build the table once. Returns what redraws it and walks along it. */
function buildTreatments(report, curves, state, open) {
  const { hits } = report;
  const narrow = matchMedia("(max-width: 700px)");
  const shownNumbers = NUMBERS.filter(([name]) => hits.some((row) => isNumber(row[name])));
  const isDrawn = (curve) => curve && (curve.points.length > 0 || isFitted(curve));
  const hasCurves = [...curves.values()].some((ofFeature) => hits.some((row) => isDrawn(ofFeature.get(row.treatment))));
  if (!hasCurves) byId("feature").hidden = true;
  const hasMechanism = hits.some((row) => row.mechanism);
  for (const row of hits) row.find = `${row.treatment} ${doseText(row)} ${row.mechanism ?? ""}`.toLowerCase();
  let found = [];

  const kinds = KINDS.filter(([name, , test]) => name === "all" || hits.some(test));
  const buttons = kinds.map(([name, words, test]) =>
    make("button", { type: "button", dataset: { kind: name }, on: { click: () => choose({ kind: name }) } }, `${words} ${show(hits.filter(test).length)}`),
  );
  fill(byId("kinds"), buttons);

  const pageRows = () => (narrow.matches ? PAGE_ROWS.narrow : PAGE_ROWS.wide);
  const lastPage = () => Math.max(0, Math.ceil(found.length / pageRows()) - 1);

  function select() {
    const words = byId("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [, , test] = kinds.find(([name]) => name === state.kind) ?? kinds[0];
    found = hits.map((_, i) => i).filter((i) => test(hits[i]) && words.every((word) => hits[i].find.includes(word)));
    if (state.sort) found.sort((a, b) => compare(hits[a], hits[b]) || a - b);
  }

  /** Rows without a value come last whichever way the others go. */
  function compare(a, b) {
    const [one, other] = [a[state.sort], b[state.sort]];
    const [hasOne, hasOther] = [one !== null && one !== undefined, other !== null && other !== undefined];
    if (!hasOne || !hasOther) return Number(hasOther) - Number(hasOne);
    const order = typeof one === "string" ? one.localeCompare(other, "en") : one - other;
    return state.down ? -order : order;
  }

  function choose(change) {
    Object.assign(state, change, { page: 0 });
    redraw();
  }

  function sortBy(name) {
    const downFirst = !["treatment", "mechanism", "q", "concentration"].includes(name);
    if (state.sort !== name) choose({ sort: name, down: downFirst });
    else if (state.down === downFirst) choose({ down: !downFirst });
    else choose({ sort: null, down: false });
  }

  function head(name, words, title, properties = {}) {
    const sorted = state.sort === name ? (state.down ? "descending" : "ascending") : "none";
    const sign = { descending: "▾", ascending: "▴", none: "" }[sorted];
    return make(
      "th",
      { scope: "col", "aria-sort": sorted, ...properties },
      make("button", { type: "button", class: "link sort", title, on: { click: () => sortBy(name) } }, words, make("span", { class: "sort-sign", "aria-hidden": "true" }, sign)),
    );
  }

  function rowOf(i) {
    const row = hits[i];
    const curve = curves.get(state.feature)?.get(row.treatment);
    const name = make(
      "button",
      { type: "button", class: "link treatment-name", dataset: { row: i }, on: { click: () => open(i) } },
      row.treatment,
    );
    return make(
      "tr",
      { dataset: { row: i, hit: String(row.is_hit) }, "aria-current": i === state.row ? "true" : null },
      make("td", { class: "mark" }, hitMark(row)),
      make("th", { scope: "row" }, name, positiveBadge(report, row)),
      cell(doseText(row), { class: "number" }),
      hasMechanism ? cell(row.mechanism, { class: "mechanism" }) : null,
      !hasCurves ? null : make("td", { class: "spark-cell" }, isDrawn(curve) ? drawSpark(curve, report.ranges.get(state.feature), row.concentration) : ""),
      shownNumbers.map(([column]) => cell(show(row[column], 3), { class: "number", dataset: { column } })),
      cell(whyText(row), { class: "why" }),
    );
  }

  function redraw() {
    select();
    state.page = Math.min(Math.max(0, state.page), lastPage());
    const first = state.page * pageRows();
    const rows = found.slice(first, first + pageRows());
    buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.kind === state.kind)));
    byId("shown").textContent = hits.length ? `${show(found.length)} of ${show(hits.length)} treatments` : "";
    const table = byId("treatments");
    table.setAttribute("aria-rowcount", found.length + 1);
    if (!hits.length) fill(table, make("caption", {}, "No treatment was analysed: hits need treated wells and negative controls."));
    else if (!found.length) fill(table, make("caption", {}, "No treatment is like that."));
    else
      fill(
        table,
        make(
          "thead",
          {},
          make(
            "tr",
            {},
            head("is_hit", "Hit", "meets the recipe's criteria"),
            head("treatment", "Treatment", ""),
            head("concentration", "Conc.", "concentration", { class: "number" }),
            hasMechanism ? head("mechanism", "Mechanism", "", { class: "mechanism" }) : null,
            hasCurves ? make("th", { scope: "col", class: "spark-cell" }, "Dose curve") : null,
            shownNumbers.map(([name, words, title]) => head(name, words, numberTitle(name, title, report.criteria), { class: "number", dataset: { column: name } })),
            make("th", { scope: "col", class: "why" }, "Criteria met, or why not"),
          ),
        ),
        make("tbody", {}, rows.map(rowOf)),
      );
    const last = Math.min(found.length, first + pageRows());
    byId("page-place").textContent = found.length ? `${show(first + 1)} – ${show(last)} of ${show(found.length)}` : "";
    byId("page-first").disabled = byId("page-previous").disabled = state.page === 0;
    byId("page-next").disabled = byId("page-last").disabled = state.page >= lastPage();
  }

  /** Show the page that holds a row, if the filters let it through. */
  function reveal(i) {
    const place = found.indexOf(i);
    if (place >= 0) state.page = Math.floor(place / pageRows());
    redraw();
  }

  const turn = (to) => {
    state.page = to;
    redraw();
  };
  byId("page-first").addEventListener("click", () => turn(0));
  byId("page-previous").addEventListener("click", () => turn(state.page - 1));
  byId("page-next").addEventListener("click", () => turn(state.page + 1));
  byId("page-last").addEventListener("click", () => turn(lastPage()));
  byId("find").addEventListener("input", () => choose({}));
  narrow.addEventListener("change", redraw);

  return {
    redraw,
    reveal,
    turn: (by) => turn(state.page + by),
    toggleHits: () => choose({ kind: state.kind === "hits" || !kinds.some(([name]) => name === "hits") ? "all" : "hits" }),
    focus: (i) => byId("treatments").querySelector(`.treatment-name[data-row="${i}"]`)?.focus(),
    /** Row before or after one in the order shown; the first where none is open. */
    neighbour(i, by) {
      if (!found.length) return null;
      const place = found.indexOf(i);
      if (place < 0) return found[state.page * pageRows()];
      return found[Math.min(found.length - 1, Math.max(0, place + by))];
    },
  };
}

/** Hit, no hit or not decided, by a sign and by words. */
function hitMark(row) {
  const [sign, words] = row.is_hit === true ? ["●", "hit"] : row.is_hit === false ? ["○", "no hit"] : ["?", "not decided"];
  return make("span", { class: "hit-mark", title: words, dataset: { hit: String(row.is_hit) } }, make("span", { "aria-hidden": "true" }, sign), make("span", { class: "unseen" }, words));
}

function whyText(row) {
  const met = (row.criteria ?? []).join(", ");
  return met && row.reason ? `${met}; ${row.reason}` : met || row.reason || "";
}
