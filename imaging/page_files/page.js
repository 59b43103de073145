// What is chosen on the page, kept in its address (#metric=...&well=B03), and who redraws what when it changes.

function start(page) {
  const ofVerdicts = verdictMetric(page.wells);
  if (ofVerdicts) page.metrics.unshift(ofVerdicts);
  for (const metric of page.metrics) metric.find = `${metric.label} ${metric.name} ${metric.group}`.toLowerCase();
  const state = {
    metric: Math.max(
      0,
      page.metrics.findIndex((metric) => !metric.words),
    ),
    byZ: false,
    limits: null,
    view: "heat",
    well: null,
    look: { site: null, channel: null },
    treatment: null,
  };
  const treatments = dosedTreatments(page.wells);
  const noMetric = {
    name: "",
    label: "no metric",
    unit: "",
    description: "",
    group: "",
    values: page.wells.map(() => null),
  };
  const metricNow = () => page.metrics[state.metric] ?? noMetric;
  const plate = buildPlate(byId("plate"), page, open);
  const pictures = page.pictures ? buildPictures(page, plate.layer, byId("picture-tools"), () => drawPanel()) : null;
  const actions = { step, close: () => open(null), look, metric: chooseMetric, openGroups: new Set() };
  const kept = keptBefore();
  let written = "";

  drawMasthead(page);
  drawMarks(byId("marks"), page.wells);
  drawStatistics(byId("statistics"), page, chooseMetric);
  drawFaults(byId("faults"), page, open);
  drawDecisions(byId("decisions"), page, open);
  buildTip(byId("tip"), byId("plate"), page, metricNow);
  fillTreatments();
  readAddress();
  if (kept) restore();
  listen();
  drawEverything();
  pictures?.apply();
  if (kept) restorePlace();
  return keep;

  /** All that was chosen and does not stand in the address. */
  function keep() {
    const { byZ, limits, look: looked, treatment } = state;
    return {
      state: { byZ, limits, look: looked, treatment },
      metric: metricNow().name,
      well: state.well === null ? null : page.wells[state.well].well,
      pictures: pictures?.keep() ?? null,
      openGroups: [...actions.openGroups],
      texts: ["find", "metric-filter"].map((id) => [id, byId(id).value]),
      scrolls: [...document.querySelectorAll("#panel, .lists .scroll, .tray")].map((box) => [
        box.scrollLeft,
        box.scrollTop,
      ]),
      page: [scrollX, scrollY],
      focus: { id: document.activeElement?.id, label: document.activeElement?.getAttribute("aria-label") },
    };
  }

  function restore() {
    const { byZ, limits, look: looked, treatment } = kept.state;
    state.byZ = byZ;
    if (kept.metric === metricNow().name) state.limits = limits;
    if (state.well !== null && kept.well === page.wells[state.well].well) state.look = looked;
    if (treatments.includes(treatment)) state.treatment = treatment;
    byId("treatment").value = state.treatment ?? "";
    for (const name of kept.openGroups) actions.openGroups.add(name);
    for (const [id, text] of kept.texts) byId(id).value = text;
    if (kept.pictures) pictures?.restore(kept.pictures);
  }

  /** What needs the drawn page: texts that fade wells, how far it was scrolled, where the keyboard was. */
  function restorePlace() {
    find();
    document.querySelectorAll("#panel, .lists .scroll, .tray").forEach((box, i) => {
      const [left, top] = kept.scrolls[i] ?? [0, 0];
      box.scrollTo(left, top);
    });
    scrollTo(...kept.page);
    (byId(kept.focus.id) ?? labelled(kept.focus.label))?.focus({ preventScroll: true });
  }

  /** The element with a label; a well's begins with its name, what follows may have changed. */
  function labelled(label) {
    if (!label) return null;
    const found = [...document.querySelectorAll("button[aria-label], input[aria-label]")];
    const begins = (text) => text.split(",")[0];
    return (
      found.find((element) => element.getAttribute("aria-label") === label) ??
      found.find((element) => begins(element.getAttribute("aria-label")) === begins(label))
    );
  }

  function drawEverything() {
    document.body.dataset.view = state.view;
    byId("view-heat").setAttribute("aria-pressed", String(state.view === "heat"));
    byId("view-pictures").setAttribute("aria-pressed", String(state.view === "pictures"));
    byId("view-pictures").disabled = !pictures;
    if (state.view === "pictures") pictures?.load();
    drawHeat();
    drawPanel();
    writeAddress();
  }

  function drawHeat() {
    const metric = metricNow();
    fillMetrics();
    const colours = colouring(metric, page.wells, state.byZ, state.limits);
    byId("scale-value").setAttribute("aria-pressed", String(!state.byZ));
    byId("scale-z").setAttribute("aria-pressed", String(state.byZ));
    byId("scale-value").disabled = byId("scale-z").disabled = Boolean(metric.words);
    byId("metric-description").textContent = metric.description;
    byId("metric-description").title = metric.description;
    plate.paint(metric, colours);
    if (metric.words) drawVerdictLegend(byId("legend"), metric);
    else
      drawLegend(byId("legend"), colours, page.wells, (limits) => {
        state.limits = limits;
        drawHeat();
      });
    drawDoseChart();
  }

  function drawDoseChart() {
    byId("chart-card").hidden = Boolean(metricNow().words); // verdicts have no scale
    if (byId("chart-card").hidden) return;
    byId("chart-title").textContent = treatments.length
      ? `${metricNow().label} by concentration`
      : `${metricNow().label}: controls and samples`;
    drawChart(byId("chart"), page, metricNow(), state.treatment, state.well, open);
  }

  function drawPanel() {
    plate.markOpen(state.well);
    const panel = byId("panel");
    const focused = panel.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
    const scrolled = panel.scrollTop;
    if (state.well === null) drawGlance(panel, page, open, chooseMetric);
    else drawWell(panel, page, pictures, state.well, metricNow(), state.look, actions);
    panel.scrollTop = scrolled;
    if (focused) panel.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
  }

  function fillMetrics() {
    const words = byId("metric-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const groups = new Map();
    page.metrics.forEach((metric, i) => {
      if (i !== state.metric && !words.every((word) => metric.find.includes(word))) return;
      if (!groups.has(metric.group)) groups.set(metric.group, make("optgroup", { label: metric.group || "Values" }));
      groups.get(metric.group).append(make("option", { value: i, selected: i === state.metric }, metricTitle(metric)));
    });
    fill(byId("metric"), [...groups.values()]);
  }

  function fillTreatments() {
    const box = byId("treatment");
    box.hidden = treatments.length < 2;
    fill(
      box,
      treatments.map((key) => {
        const [name, unit] = JSON.parse(key);
        return make("option", { value: key }, unit ? `${name} (${unit})` : name);
      }),
    );
    state.treatment = treatments[0] ?? null;
  }

  function open(index) {
    state.well = index;
    state.look = { site: index === null ? null : (page.wells[index].sites[0]?.site ?? null), channel: null };
    if (index !== null && treatments.includes(treatmentKey(page.wells[index])))
      state.treatment = treatmentKey(page.wells[index]);
    byId("treatment").value = state.treatment ?? "";
    drawPanel();
    drawDoseChart();
    writeAddress();
  }

  function step(by) {
    open((state.well + by + page.wells.length) % page.wells.length);
  }

  function look(site, channel) {
    state.look = { site, channel };
    drawPanel();
  }

  function chooseMetric(index) {
    if (!page.metrics.length) return;
    state.metric = (index + page.metrics.length) % page.metrics.length;
    state.limits = null;
    drawEverything();
  }

  function chooseView(view) {
    state.view = pictures ? view : "heat";
    drawEverything();
  }

  function find() {
    const words = byId("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = new Set();
    page.wells.forEach((well, i) => {
      const text =
        `${well.well} ${treatmentText(well)} ${CONTROL_WORDS[well.control] ?? ""} ${well.verdict ?? ""}`.toLowerCase();
      if (words.length && words.every((word) => text.includes(word))) shown.add(i);
    });
    plate.highlight(words.length ? shown : null);
    byId("hits").textContent = words.length ? `${show(shown.size)} of ${show(page.wells.length)} wells` : "";
  }

  function listen() {
    byId("view-heat").addEventListener("click", () => chooseView("heat"));
    byId("view-pictures").addEventListener("click", () => chooseView("pictures"));
    byId("scale-value").addEventListener("click", () => {
      state.byZ = false;
      state.limits = null;
      drawHeat();
    });
    byId("scale-z").addEventListener("click", () => {
      state.byZ = true;
      state.limits = null;
      drawHeat();
    });
    byId("metric").addEventListener("change", (event) => chooseMetric(Number(event.target.value)));
    byId("metric-previous").addEventListener("click", () => chooseMetric(state.metric - 1));
    byId("metric-next").addEventListener("click", () => chooseMetric(state.metric + 1));
    byId("metric-filter").addEventListener("input", fillMetrics);
    byId("find").addEventListener("input", find);
    byId("treatment").addEventListener("change", (event) => {
      state.treatment = event.target.value;
      drawDoseChart();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && state.well !== null && !event.target.matches("input")) {
        const index = state.well;
        open(null);
        plate.buttons[index].focus();
      }
    });
    addEventListener("hashchange", () => {
      if (location.hash === written) return;
      readAddress();
      drawEverything();
    });
  }

  function readAddress() {
    const address = new URLSearchParams(location.hash.slice(1));
    const metric = page.metrics.findIndex(({ name }) => name === address.get("metric"));
    const well = page.wells.findIndex(({ well: name }) => name === address.get("well"));
    if (metric >= 0) state.metric = metric;
    state.view = address.get("view") === "pictures" && pictures ? "pictures" : "heat";
    state.limits = null;
    state.well = well >= 0 ? well : null;
    state.look = { site: page.wells[well]?.sites[0]?.site ?? null, channel: null };
    if (well >= 0 && treatments.includes(treatmentKey(page.wells[well])))
      state.treatment = treatmentKey(page.wells[well]);
    byId("treatment").value = state.treatment ?? "";
  }

  function writeAddress() {
    const address = new URLSearchParams({ metric: metricNow().name });
    if (state.well !== null) address.set("well", page.wells[state.well].well);
    if (state.view !== "heat") address.set("view", state.view);
    written = `#${address}`;
    location.replace(written);
  }
}

if (window.PLATE) start(window.PLATE);
else if (window.LIVE) {
  const begun = performance.now();
  const keep = start(window.LIVE);
  keepFresh(keep, performance.now() - begun);
} else
  document.body.prepend(
    make("p", { class: "notice" }, "The plate's numbers are missing: data.js must lie beside this page."),
  );
