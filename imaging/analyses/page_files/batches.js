// How much of the signal is the process, what each way of correcting does about it, recipes compared, plates, failures.

/** Measures of mixing: name, head, which way is better, what it means. */
const MEASURES = [
  ["silhouette_batch", "Batches apart", "low", "silhouette by batch: 0 or less where batches are mixed, 1 where they lie apart"],
  ["silhouette_label", "Treatments apart", "high", "silhouette by treatment or mechanism: 1 where they lie apart"],
  ["kbet", "kBET", "low", "share of neighbourhoods whose batches are not as everywhere: 0 where batches are mixed"],
  ["map_batch", "mAP of batches", "low", "how well a profile finds others of its batch"],
  ["map_label", "mAP of treatments", "high", "how well a profile finds others of its treatment"],
];

function drawMethods(box, report) {
  if (!report.mixing.length) {
    fill(box, nothing("No way of correcting was measured: that needs two batches or plates."));
    return;
  }
  const measures = MEASURES.filter(([name]) => report.mixing.some((row) => isNumber(row[name])));
  const best = new Map(measures.map(([name, , better]) => [name, (better === "low" ? Math.min : Math.max)(...sortedNumbers(report.mixing.map((row) => row[name])))]));
  const rows = report.mixing.map((row) =>
    make(
      "tr",
      { dataset: { counts: row.counts === true } },
      make("th", { scope: "row" }, row.method, row.counts === true ? make("span", { class: "badge chosen" }, "the recipe's") : null, row.notes ? make("p", { class: "muted small" }, row.notes) : null),
      measures.map(([name]) => measureCell(row[name], row[name] === best.get(name))),
    ),
  );
  const heads = measures.map(([, words, better, title]) => make("span", { title, class: "of-numbers" }, words, make("span", { class: "muted" }, better === "low" ? " ↓" : " ↑"), make("span", { class: "unseen" }, better === "low" ? " (less is better)" : " (more is better)")));
  fill(box, table(["Method", ...heads], rows), make("p", { class: "muted small" }, "↓ less is better, ↑ more is better; the best of a column is bold."));
}

function measureCell(value, isBest) {
  if (!isNumber(value)) return make("td", { class: "number" }, "–");
  return make("td", { class: "number measure", dataset: { best: isBest } }, show(value, 3), bar(Math.abs(value), value < 0 ? "below" : ""));
}

/** A small bar for a share from 0 to 1. */
function bar(share, kind = "") {
  const inner = make("span", { class: "bar-inner", dataset: { kind } });
  inner.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
  return make("span", { class: "bar-outer", "aria-hidden": "true" }, inner);
}

const FACTOR_COLOURS = { treatment: "#0072b2", batch: "#d55e00", plate: "#e69f00", position: "#cc79a7", row: "#cc79a7", column: "#b8a800", well: "#cc79a7", residual: "#b9c2ca" };

function drawVariance(box, report) {
  const { factors, rows } = report.variance;
  if (!rows.length) {
    fill(box, nothing("The variance was not shared out: that needs replicates on two plates or more."));
    return;
  }
  const colourOf = (factor, i) => FACTOR_COLOURS[factor] ?? categoryColour(i);
  let count = 12;
  const lineOf = (row) => {
    const parts = factors.map((factor, i) => [factor, row.shares[i], colourOf(factor, i)]).filter(([, value]) => isNumber(value) && value > 0);
    const words = parts.map(([factor, value]) => `${factor} ${show(100 * value, 2)} %`).join(", ");
    const line = make("span", { class: "stack", role: "img", "aria-label": words, title: words });
    for (const [factor, value, colour] of parts) {
      const part = make("span", { class: "stack-part" }, value > 0.14 ? `${Math.round(100 * value)} %` : "");
      part.style.width = `${100 * value}%`;
      part.style.backgroundColor = colour;
      part.style.color = isLight(channelsOf(colour)) ? "#10181f" : "#fff";
      part.dataset.factor = factor;
      line.append(part);
    }
    return make("tr", {}, make("th", { scope: "row" }, row.feature ? breakable(row.feature) : make("em", {}, `mean of ${show(report.n_features)} features`)), make("td", { class: "stack-cell" }, line));
  };
  const redraw = () =>
    fill(
      box,
      make("ul", { class: "marks" }, factors.map((factor, i) => make("li", {}, dotOf(colourOf(factor, i)), factor))),
      table(["Feature", "Share of its variance"], rows.slice(0, count + 1).map(lineOf)),
      rows.length > count + 1 ? make("button", { type: "button", class: "quiet", on: { click: () => { count = Infinity; redraw(); } } }, `Show ${show(rows.length - count - 1)} more features`) : null,
    );
  redraw();
}

const percent = (share) => `${show(100 * share, 3)} %`;
const meaningOf = (measure) => MEASURES.find(([name]) => name === measure)[3];

/** Scores of recipes: name, head, how a value is written, what it means. */
const LEADERS = [
  ["percent_replicating", "Percent replicating", percent, "share of treatments whose median replicate correlation is above the 95th percentile of pairs that are no replicates"],
  ["mechanism_recall", "Mechanism found", percent, "share of treatments whose nearest treatment of another compound has their mechanism"],
  ["map_label", "mAP of treatments", (v) => show(v, 3), meaningOf("map_label")],
  ["silhouette_batch", "Batches apart", (v) => show(v, 3), meaningOf("silhouette_batch")],
  ["hits", "Hits", (v) => show(v), "treatments and concentrations that meet the recipe's criteria"],
];

function drawLeaderboard(box, report) {
  if (!report.leaderboard.length) {
    fill(box, nothing("One recipe was analysed; platestream analyse with several recipes compares them."));
    return;
  }
  const shown = LEADERS.filter(([name]) => report.leaderboard.some((row) => isNumber(row[name])));
  const named = (value) => (Array.isArray(value) ? value.join(", ") : isNumber(value) ? show(value) : (value ?? ""));
  const rows = report.leaderboard.map((row) =>
    make(
      "tr",
      { dataset: { counts: row.counts === true } },
      make("th", { scope: "row" }, row.recipe, row.counts === true ? make("span", { class: "badge chosen" }, "counts") : null),
      shown.map(([name, , words]) => cell(isNumber(row[name]) ? words(row[name]) : "–", { class: "number" })),
      cell(named(row.gained)),
      cell(named(row.lost)),
    ),
  );
  fill(box, table(["Recipe", ...shown.map(([, words, , title]) => make("span", { title, class: "of-numbers" }, words)), "Hits gained", "Hits lost"], rows));
}

function drawPlates(box, report) {
  if (!report.plates.length) {
    fill(box, nothing("No plate of this experiment is published yet."));
    return;
  }
  const rows = report.plates.map((row) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, pageLink(row.page, row.plate)),
      cell(row.batch),
      make("td", {}, row.verdict ? verdictBadge(row.verdict) : "–"),
      make("td", { class: "number" }, show(row.z_prime, 3)),
      make("td", {}, isNumber(row.z_prime) ? zPrimeBadge(row.z_prime) : ""),
      make("td", { class: "muted" }, momentText(row.published_at)),
    ),
  );
  fill(box, table(["Plate", "Batch", "Verdict", "Z′", "", "Published"], rows));
}

function buildFailures(box, report) {
  const levels = [...new Set(report.failures.map((row) => row.level).filter(Boolean))];
  fillSelect(byId("failure-level"), [["", `All levels (${show(report.failures.length)})`], ...levels.map((level) => [level, `${level} (${show(report.failures.filter((row) => row.level === level).length)})`])], "");
  byId("failure-level").addEventListener("change", (event) => redraw(event.target.value));
  redraw("");

  function redraw(level) {
    if (!report.failures.length) {
      byId("failure-level").hidden = true;
      fill(box, nothing("No process failure was found: no site, well, row, column or plate failed for technical reasons."));
      return;
    }
    const rows = report.failures
      .filter((row) => !level || row.level === level)
      .map((row) =>
        make(
          "tr",
          {},
          make("th", { scope: "row" }, pageLink(report.pages.get(row.plate), row.plate, wellHash(row.well))),
          cell([row.well, row.site ? `site ${row.site}` : ""].filter(Boolean).join(" ")),
          cell(row.level),
          cell(row.rule),
          cell(row.evidence ?? row.reason, { class: "evidence" }),
          make("td", {}, row.excluded === true ? "excluded" : "kept", row.decided_by ? make("span", { class: "muted" }, ` by ${row.decided_by}${row.reason ? `: ${row.reason}` : ""}`) : null),
        ),
      );
    fill(box, table(["Plate", "Place", "Level", "Rule", "Evidence", ""], rows));
  }
}
