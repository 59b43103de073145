// What stands above and under the plate: its standing, statistics, faults and decisions.

const STATUS_WORDS = {
  complete: "complete",
  "with-missing": "with missing images",
  imaging: "imaging, provisional",
  withdrawn: "withdrawn",
};

function drawMasthead(page) {
  document.title = `${page.plate} · ${page.experiment}`;
  byId("experiment").textContent = page.experiment;
  byId("plate-name").textContent = page.plate;
  fill(
    byId("standing"),
    page.verdict ? verdictBadge(page.verdict) : null,
    make(
      "span",
      { class: "badge status", dataset: { status: page.status } },
      make("span", { class: "sign", "aria-hidden": "true" }),
      STATUS_WORDS[page.status] ?? page.status,
      isNumber(page.updated_at) ? `, updated ${updatedText(page.updated_at)}` : null,
    ),
  );
  const fact = (label, text, more) =>
    make(
      "div",
      {},
      make("dt", {}, label),
      make("dd", {}, text, more ? make("span", { class: "of" }, ` ${more}`) : null),
    );
  fill(
    byId("counts"),
    page.counts.map(({ label, value, expected }) =>
      fact(label, show(value), expected === null || expected === value ? "" : `of ${show(expected)}`),
    ),
    (page.costs ?? []).map(({ label, text, more }) => fact(label, text, more)),
  );
  byId("notice").textContent = page.notice ?? "";
  byId("notice").hidden = !page.notice;
  drawReasons(byId("reasons"), page);
  const links = [...page.links, ...(window.LINKS ?? [])].map(({ label, url }) =>
    isSafeLink(url) ? make("a", { href: url }, label) : `${label}: ${url}`,
  );
  const parts = [
    ["recipe ", make("code", {}, page.recipe)],
    ...(page.run ? [["run ", make("code", {}, page.run)]] : []),
    ...links.map((link) => [link]),
  ];
  fill(
    byId("provenance"),
    parts.flatMap((part, i) => (i ? [" · ", ...part] : part)),
  );
  byId("note").textContent = page.note;
}

/** Time of day of a moment in Unix seconds, and how long ago that is where a page is older than it should be. */
function updatedText(seconds) {
  const time = new Date(seconds * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  const minutes = Math.floor((Date.now() / 1000 - seconds) / 60);
  return minutes < 3 ? time : `${time}, ${minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`} ago`;
}

/** A link may lead to the web or to a neighbour of this page; anything else (a script, gs://) is shown as text. */
function isSafeLink(url) {
  try {
    return ["http:", "https:", location.protocol].includes(new URL(url, location.href).protocol);
  } catch {
    return false;
  }
}

const Z_PRIME_WORDS = [
  [0.5, "pass", "excellent"],
  [0, "warn", "doable"],
  [-Infinity, "fail", "controls overlap"],
];

/** Z' in words after Zhang, Chung and Oldenburg (1999): above 0.5 the controls stand apart, below 0 they overlap. */
function zPrimeBadge(zPrime) {
  const [, verdict, words] = Z_PRIME_WORDS.find(([limit]) => zPrime >= limit);
  return verdictBadge(verdict, words);
}

/** Metric of a statistic as a button that colours the plate by it, or its name where the page does not show it. */
function featureLink(row, page, choose) {
  const place = page.metrics.findIndex((metric) => metric.name === row.feature);
  if (place < 0) return breakable(row.feature);
  const label = metricTitle(page.metrics[place]);
  return make("button", { type: "button", class: "link", on: { click: () => choose(place) } }, breakable(label));
}

function drawStatistics(box, page, choose) {
  if (!page.statistics.length) {
    fill(
      box,
      make(
        "p",
        { class: "muted" },
        page.status === "imaging"
          ? "No statistics yet: they come with the publication."
          : "No statistics: they need negative and positive controls in the plate map and a feature named in the experiment.",
      ),
    );
    return;
  }
  const rows = page.statistics.map((row) => {
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, featureLink(row, page, choose)),
      number(row.z_prime),
      number(row.robust_z_prime),
      number(row.ssmd),
      number(row.n_negcon),
      number(row.n_poscon),
      make("td", {}, isNumber(row.z_prime) ? zPrimeBadge(row.z_prime) : (row.reason ?? "–")),
    );
  });
  fill(box, table(["Feature", "Z′", "robust Z′", "SSMD", "− wells", "+ wells", ""], rows));
}

const number = (value) => make("td", { class: "number" }, show(value, 3));

function table(heads, rows) {
  return make(
    "table",
    { class: "list" },
    make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, ...rows),
  );
}

function drawFaults(box, page, open) {
  if (!page.faults.length) {
    fill(box, make("p", { class: "muted" }, "No file was refused."));
    return;
  }
  const rows = page.faults
    .slice(0, 1000)
    .map((fault) =>
      make(
        "tr",
        {},
        make("td", {}, wellLink(fault.well, page, open)),
        make("td", {}, fault.channel ?? ""),
        make("td", {}, fault.kind),
        make("td", { class: "words" }, fault.reason),
        make("td", { class: "words" }, make("code", {}, breakable(fault.name))),
      ),
    );
  fill(box, table(["Well", "Channel", "Kind", "Reason", "File"], rows), more(page.faults.length, "faults"));
}

function drawDecisions(box, page, open) {
  if (!page.decisions.length) {
    fill(box, make("p", { class: "muted" }, "Nothing was excluded or deemed missing."));
    return;
  }
  const rows = page.decisions
    .slice(0, 1000)
    .map((decision) =>
      make(
        "tr",
        {},
        make("td", {}, wellLink(decision.well, page, open)),
        make("td", {}, decision.site ? String(decision.site) : ""),
        make("td", {}, decision.channel ?? ""),
        make("td", {}, decision.kind),
        make("td", { class: "words" }, decision.reason),
        make("td", {}, decision.by),
      ),
    );
  fill(
    box,
    table(["Well", "Site", "Channel", "Decision", "Reason", "By"], rows),
    more(page.decisions.length, "decisions"),
  );
}

const more = (count, name) =>
  count > 1000 ? make("p", { class: "muted" }, `and ${show(count - 1000)} more: query the ${name} table`) : null;

function wellLink(name, page, open) {
  const index = page.wells.findIndex((well) => well.well === name);
  return index < 0
    ? (name ?? "")
    : make("button", { type: "button", class: "well-link", on: { click: () => open(index) } }, name);
}
