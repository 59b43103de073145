// The panel: everything of one treatment, or what to look at first.

/** Draw the open treatment. */
function drawTreatment(panel, report, i, actions) {
  const row = report.hits[i];
  const curves = [...report.curves.values()].map((ofFeature) => ofFeature.get(row.treatment)).filter(Boolean);
  const wells = report.wells.get(keyOf(row)) ?? [];
  fill(
    panel,
    make(
      "div",
      { class: "well-title" },
      make("h2", { tabindex: "-1", id: "treatment-name" }, row.treatment, doseText(row) ? make("span", { class: "dose" }, ` ${doseText(row)}`) : null),
      make(
        "div",
        { class: "segments", role: "group", "aria-label": "Neighbouring treatments" },
        make("button", { type: "button", "aria-label": "Previous treatment", on: { click: () => actions.step(-1) } }, "‹"),
        make("button", { type: "button", "aria-label": "Next treatment", on: { click: () => actions.step(1) } }, "›"),
        make("button", { type: "button", "aria-label": "Close", on: { click: actions.close } }, "✕"),
      ),
    ),
    make(
      "p",
      { class: "badges" },
      make("span", { class: "badge hit-badge", dataset: { hit: String(row.is_hit) } }, hitMark(row), row.is_hit === true ? "hit" : row.is_hit === false ? "no hit" : "not decided"),
      positiveBadge(report, row),
      row.mechanism ? make("span", { class: "badge plain" }, row.mechanism) : null,
    ),
    criteriaList(row, report.criteria),
    row.reason ? make("p", { class: "why-text" }, row.reason) : null,
    make(
      "dl",
      { class: "pairs" },
      NUMBERS.filter(([name]) => isNumber(row[name])).flatMap(([name, words, title]) => [
        make("dt", { title: numberTitle(name, title, report.criteria) }, words),
        make("dd", {}, show(row[name], 4)),
      ]),
    ),
    pictureRow(report, row),
    curves.map((curve) => drawCurve(curve, report.ranges.get(curve.feature), row.concentration)),
    (row.nearest ?? []).length ? make("p", { class: "nearest" }, make("strong", {}, "Nearest: "), row.nearest.join(", ")) : null,
    wells.length ? make("h3", {}, `${show(wells.length)} ${wells.length === 1 ? "well" : "wells"}`) : null,
    make(
      "ul",
      { class: "chips wells" },
      wells.slice(0, 60).map((point) =>
        make("li", {}, pageLink(report.pages.get(point.plate), `${point.plate} ${point.well}`, wellHash(point.well))),
      ),
      wells.length > 60 ? make("li", { class: "muted" }, `and ${show(wells.length - 60)} more`) : null,
    ),
  );
}

/** The recipe's criteria and whether each is met. */
function criteriaList(row, criteria) {
  const met = new Set(row.criteria ?? []);
  const names = Object.keys(criteria).length ? Object.keys(criteria) : [...met];
  if (!names.length) return null;
  return make(
    "ul",
    { class: "criteria" },
    names.map((name) =>
      make(
        "li",
        { dataset: { met: met.has(name) } },
        make("span", { class: "sign", "aria-hidden": "true" }, met.has(name) ? "✓" : "–"),
        make("span", { class: "unseen" }, met.has(name) ? "met:" : "not met:"),
        criteria[name] ?? name,
      ),
    ),
  );
}

const noHit = (treatments, controls) =>
  controls ? "No treatment but the positive controls meets the criteria." : treatments ? "No treatment meets the criteria." : "Nothing was analysed yet.";

/** What is open when nothing is: how to go on, and the best hits. */
function drawFirst(panel, report, open) {
  const hits = report.hits.map((row, i) => [row, i]).filter(([row]) => row.is_hit === true);
  /** The first dozen; the best dose of a treatment stands for all. */
  const bestOf = (found) => {
    const seen = new Set();
    return found.filter(([{ treatment }]) => !seen.has(treatment) && seen.add(treatment)).slice(0, 12);
  };
  const best = bestOf(hits.filter(([row]) => !isPositive(report, row)));
  const controls = bestOf(hits.filter(([row]) => isPositive(report, row)));
  const list = (found, name) =>
    make(
      "ol",
      { class: `best ${name}` },
      found.map(([row, i]) =>
        make("li", {}, make("button", { type: "button", class: "link", on: { click: () => open(i) } }, row.treatment), ` ${doseText(row)}`, make("span", { class: "muted" }, ` ${row.mechanism ?? ""}`)),
      ),
    );
  const signals = report.charts.filter((row) => row.signal).length;
  const failures = report.failures.length;
  fill(
    panel,
    make("h2", {}, "What to look at"),
    best.length
      ? make("h3", {}, "Strongest hits")
      : make("p", { class: "muted" }, noHit(report.hits.length, controls.length)),
    list(best, "strongest"),
    controls.length ? [make("h3", {}, "Positive controls that are hits"), list(controls, "positives")] : null,
    make("h3", {}, "Process"),
    make("p", {}, failures ? `${show(failures)} process failures are listed below.` : "No process failure was found."),
    make("p", {}, signals ? `${show(signals)} signals of control wells out of their limits.` : "No control chart gives a signal."),
    make("p", { class: "hint" }, "A treatment opens by a click, or by j and k. Its wells lead to their plates' pages."),
  );
}
