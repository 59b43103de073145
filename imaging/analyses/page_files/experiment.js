// What is chosen on the page, kept in its address (#treatment=...&kind=hits), and who redraws what when it changes.

/** The report as the parts of the page read it. */
function readReport(data) {
  const report = { ...data };
  for (const name of ["hits", "doses", "charts", "failures", "mixing", "plates", "points", "leaderboard"]) report[name] = rowsOf(data[name]);
  for (const row of report.hits) row.is_hit ??= null;
  report.curves = curvesOf(report.doses);
  report.ranges = new Map([...report.curves].map(([feature, curves]) => [feature, valueRange([...curves.values()])]));
  report.places = new Map(report.hits.map((row, i) => [keyOf(row), i]));
  report.pages = new Map(report.plates.map((row) => [row.plate, row.page]));
  report.pictures = new Map(data.gallery.map((hit) => [keyOf(hit), hit]));
  report.positives = positivesOf(report.points);
  report.wells = new Map();
  for (const point of report.points) {
    const key = keyOf(point);
    if (!report.wells.has(key)) report.wells.set(key, []);
    report.wells.get(key).push(point);
  }
  return report;
}

function start(data) {
  const report = readReport(data);
  const features = [...report.curves.keys()];
  const state = { row: null, kind: "all", sort: null, down: false, page: 0, feature: features[0] ?? "" };
  let written = "";

  drawHead();
  fillSelect(byId("feature"), features.map((name) => [name, `Curve: ${name || "value"}`]), state.feature);
  const treatments = buildTreatments(report, report.curves, state, openFromTable);
  readAddress();
  treatments.redraw();
  if (state.row !== null) treatments.reveal(state.row);
  drawGallery(byId("gallery"), report, (i) => open(i, { moves: true }));
  const map = buildMap(byId("map"), report, (i) => open(i, { moves: true }));
  map.redraw(state.row);
  buildControls(byId("chart"), report);
  drawMethods(byId("methods"), report);
  drawVariance(byId("variance"), report);
  drawPlates(byId("plates"), report);
  buildFailures(byId("failures"), report);
  drawLeaderboard(byId("leaderboard"), report);
  drawPanel();
  listen();

  function drawHead() {
    document.title = `${report.experiment} · experiment`;
    byId("experiment-name").textContent = report.experiment;
    fill(byId("standing"), report.verdict ? verdictBadge(report.verdict) : null);
    fill(
      byId("counts"),
      report.counts.map(({ label, value, of }) =>
        make("div", {}, make("dt", {}, label), make("dd", {}, show(value), of === null || of === value ? null : make("span", { class: "of" }, ` of ${show(of)}`))),
      ),
    );
    drawReasons(byId("reasons"), report);
    const parts = [
      ...(report.recipe ? [["recipe ", make("code", {}, report.recipe)]] : []),
      ...(report.analysis ? [["analysis ", make("code", {}, report.analysis)]] : []),
    ];
    fill(byId("provenance"), parts.flatMap((part, i) => (i ? [" · ", ...part] : part)));
    fill(byId("notes"), report.notes.map((note) => make("li", {}, note)));
    const titles = [...document.querySelectorAll("main h2[id]")];
    fill(
      byId("sections"),
      titles.map((title) =>
        make("button", { type: "button", class: "quiet", on: { click: () => goTo(title) } }, title.dataset.nav),
      ),
    );
  }

  function goTo(title) {
    title.scrollIntoView({ block: "start" });
    title.focus({ preventScroll: true });
  }

  function drawPanel() {
    if (state.row === null) drawFirst(byId("panel"), report, (i) => open(i, { moves: true }));
    else drawTreatment(byId("panel"), report, state.row, { step, close });
  }

  /** Open a treatment; `moves`: the panel may be out of sight, so bring it in. Returns whether that was done. */
  function open(i, { moves = false } = {}) {
    state.row = i;
    if (i !== null) treatments.reveal(i);
    else treatments.redraw();
    drawPanel();
    map.redraw(i);
    writeAddress();
    const panel = byId("panel");
    const frame = panel.getBoundingClientRect();
    const isAway = moves && (frame.top > innerHeight - 120 || frame.bottom < 120);
    if (isAway) goTo(byId("treatment-name"));
    return isAway;
  }

  function openFromTable(i) {
    if (!open(i, { moves: true })) treatments.focus(i);
  }

  function close() {
    const i = state.row;
    open(null);
    if (i !== null) treatments.focus(i);
  }

  function step(by) {
    const next = treatments.neighbour(state.row, by);
    if (next === null) return;
    open(next);
    treatments.focus(next);
  }

  function listen() {
    byId("feature").addEventListener("change", (event) => {
      state.feature = event.target.value;
      treatments.redraw();
    });
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const isTyping = event.target.matches("input, select, textarea");
      if (event.key === "Escape") {
        if (isTyping && byId("find").value) {
          byId("find").value = "";
          byId("find").dispatchEvent(new Event("input"));
        } else if (isTyping) event.target.blur();
        else if (state.row !== null) close();
        return;
      }
      if (isTyping) return;
      const keys = {
        "/": () => byId("find").focus(),
        h: () => treatments.toggleHits(),
        j: () => step(1),
        k: () => step(-1),
        n: () => treatments.turn(1),
        p: () => treatments.turn(-1),
      };
      if (!keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
      writeAddress();
    });
    byId("kinds").addEventListener("click", writeAddress);
    addEventListener("hashchange", () => {
      if (location.hash === written) return;
      readAddress();
      open(state.row);
    });
  }

  function readAddress() {
    const address = new URLSearchParams(location.hash.slice(1));
    const dose = address.get("concentration");
    const key = keyOf({ treatment: address.get("treatment"), concentration: dose === null ? null : Number(dose) });
    state.row = report.places.get(key) ?? null;
    state.kind = address.get("kind") ?? "all";
    if (!KINDS.some(([name]) => name === state.kind)) state.kind = "all";
  }

  function writeAddress() {
    const address = new URLSearchParams();
    const row = state.row === null ? null : report.hits[state.row];
    if (row) address.set("treatment", row.treatment);
    if (row && isNumber(row.concentration)) address.set("concentration", row.concentration);
    if (state.kind !== "all") address.set("kind", state.kind);
    written = address.toString() ? `#${address}` : "";
    history.replaceState(null, "", written || location.pathname);
  }
}

if (window.EXPERIMENT) start(window.EXPERIMENT);
else
  document.body.prepend(
    make("p", { class: "notice" }, "The experiment's numbers are missing: data.js must lie beside this page."),
  );
