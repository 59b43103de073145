// The panel beside the plate: one well with its pictures, verdict and values; without a well, the plate at a glance.

/** Draw the panel for a well. `look` = {site, channel or null}: which picture is shown large. */
function drawWell(panel, page, pictures, index, metric, look, actions) {
  const well = page.wells[index];
  const site = well.sites.find((candidate) => candidate.site === look.site) ?? well.sites[0] ?? null;
  fill(
    panel,
    wellHead(well, actions),
    pictures && site?.state !== "waiting" && site ? largePicture(well, site, page, pictures, look, actions) : null,
    well.sites.length ? siteTable(well, site, page, pictures, look, actions) : null,
    metricPlace(page, index, metric),
    site ? siteDetails(site, page, actions) : null,
    valueGroups(page, index, actions),
  );
}

function wellHead(well, actions) {
  return make(
    "div",
    { class: "well-head" },
    make(
      "div",
      { class: "well-title" },
      make("h2", {}, well.well),
      make(
        "span",
        { class: "treatment" },
        treatmentText(well) || (CONTROL_WORDS[well.control] ?? "no treatment known"),
      ),
      make(
        "span",
        { class: "segments" },
        make("button", { type: "button", "aria-label": "Previous well", on: { click: () => actions.step(-1) } }, "‹"),
        make("button", { type: "button", "aria-label": "Next well", on: { click: () => actions.step(1) } }, "›"),
        make(
          "button",
          { type: "button", id: "close-well", "aria-label": "Close the well", on: { click: actions.close } },
          "×",
        ),
      ),
    ),
    make(
      "p",
      { class: "badges" },
      verdictBadge(well.verdict),
      CONTROL_WORDS[well.control] && treatmentText(well)
        ? make("span", { class: "badge plain" }, CONTROL_WORDS[well.control])
        : null,
      well.state === "done" ? null : make("span", { class: "badge plain" }, well.state),
    ),
    reasonList(well.reasons),
  );
}

function largePicture(well, site, page, pictures, look, actions) {
  const wanted = look.channel === null ? pictures.visible() : [look.channel];
  const coloured = look.channel === null && pictures.isComposite();
  const shown = look.channel === null ? site : (site.images.find((image) => image.channel === look.channel) ?? site);
  const names = wanted.map((i) => make("li", {}, dot(page.channels[i]), page.channels[i].name));
  return make(
    "figure",
    { class: "large-picture" },
    pictures.sitePicture(well, site, wanted, coloured),
    make(
      "figcaption",
      {},
      make("strong", {}, `Site ${site.label}`),
      make("ul", { class: "names" }, ...names),
      shown.verdict ? verdictBadge(shown.verdict) : null,
      reasonList(shown.reasons),
      make(
        "dl",
        { class: "pairs" },
        ...Object.entries(site.counts).flatMap(([name, count]) => [make("dt", {}, name), make("dd", {}, show(count))]),
      ),
      look.channel === null
        ? null
        : make(
            "button",
            { type: "button", class: "quiet", on: { click: () => actions.look(site.site, null) } },
            "All channels",
          ),
    ),
  );
}

/** Sites down, channels across; each picture is a button that shows it large. */
function siteTable(well, current, page, pictures, look, actions) {
  const rows = well.sites.map((site) =>
    make(
      "tr",
      {},
      make(
        "th",
        { scope: "row" },
        make(
          "button",
          {
            type: "button",
            class: "quiet",
            "aria-pressed": String(site === current && look.channel === null),
            "aria-label": `Site ${site.label}, all channels`,
            on: { click: () => actions.look(site.site, null) },
          },
          String(site.label),
        ),
      ),
      ...page.channels.map((channel, i) =>
        make("td", {}, siteCell(well, site, i, channel, pictures, site === current && look.channel === i, actions)),
      ),
    ),
  );
  return make(
    "div",
    { class: "scroll" },
    make(
      "table",
      { class: "site-table" },
      make(
        "thead",
        {},
        make(
          "tr",
          {},
          make("th", { scope: "col" }, "Site"),
          ...page.channels.map((channel) => make("th", { scope: "col" }, channel.name)),
        ),
      ),
      make("tbody", {}, ...rows),
    ),
  );
}

function siteCell(well, site, i, channel, pictures, isCurrent, actions) {
  if (site.missing.includes(channel.name)) return make("span", { class: "no-picture" }, "missing");
  if (!pictures || site.state !== "done")
    return make("span", { class: "no-picture" }, site.state === "done" ? "no picture" : site.state);
  const image = site.images.find((candidate) => candidate.channel === i);
  const verdict = image?.verdict ?? "none";
  return make(
    "button",
    {
      type: "button",
      class: "site-button",
      "aria-pressed": String(isCurrent),
      dataset: { verdict },
      "aria-label": `Site ${site.label}, ${channel.name}${VERDICT_WORDS[verdict] && verdict !== "pass" ? `, ${verdictText(verdict)}` : ""}`,
      title: image?.reasons.join("\n") || null,
      on: { click: () => actions.look(site.site, isCurrent ? null : i) },
    },
    pictures.sitePicture(well, site, [i], false),
  );
}

/** Where the well stands among all wells in the metric of the heat map. */
function metricPlace(page, index, metric) {
  const value = metric.values[index];
  return make(
    "div",
    { class: "metric-place" },
    make("span", { class: "metric-name" }, metricTitle(metric)),
    make("strong", {}, metric.words ? metricText(metric, value) : show(value)),
    make("span", { class: "muted" }, rankText(metric, value)),
    metric.words ? null : placeBar(metric, value),
  );
}

function rankText(metric, value) {
  if (!isNumber(value)) return "no value for this well";
  const numbers = metric.values.filter(isNumber);
  if (metric.words) {
    const alike = numbers.filter((other) => other === value).length;
    return `like ${show(alike)} of ${show(numbers.length)} wells`;
  }
  const below = numbers.filter((other) => other < value).length;
  return `higher than ${show(below)} of ${show(numbers.length)} wells`;
}

function placeBar(metric, value) {
  const sorted = sortedNumbers(metric.values);
  const bar = make("span", { class: "place-bar", "aria-hidden": "true" });
  if (!isNumber(value) || sorted.length < 2) return bar;
  const tick = make("span", { class: "tick" });
  tick.style.left = `${(sorted.filter((other) => other < value).length / (sorted.length - 1)) * 100}%`;
  bar.append(tick);
  return bar;
}

function siteDetails(site, page, actions) {
  if (!site.images.length) return null;
  const byChannel = new Map(site.images.map((image) => [image.channel, image]));
  const present = page.channels.map((channel, i) => [channel, byChannel.get(i)]).filter(([, image]) => image);
  const head = make(
    "tr",
    {},
    make("th", { scope: "col" }, "Metric"),
    ...present.map(([channel]) => make("th", { scope: "col" }, channel.name)),
  );
  const rows = page.image_metrics.map((name, place) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, name),
      ...present.map(([, image]) => make("td", {}, show(image.values[place], 3))),
    ),
  );
  return make(
    "details",
    {
      class: "group",
      open: actions.openGroups.has("images"),
      on: { toggle: (event) => remember(event, "images", actions) },
    },
    make("summary", {}, `Images of site ${site.label}`),
    imageReasons(present),
    make(
      "div",
      { class: "scroll" },
      make("table", { class: "numbers" }, make("thead", {}, head), make("tbody", {}, ...rows)),
    ),
    make(
      "ul",
      { class: "files" },
      ...present.map(([channel, image]) =>
        make(
          "li",
          {},
          dot(channel),
          make("code", {}, image.name),
          image.verdict && image.verdict !== "pass" ? verdictBadge(image.verdict) : null,
        ),
      ),
    ),
  );
}

/** All values of the well by group; a click on one colours the plate by it. The first group is open. */
function valueGroups(page, index, actions) {
  const groups = new Map();
  page.metrics.forEach((entry, i) => {
    if (!entry.words) groups.set(entry.group, [...(groups.get(entry.group) ?? []), i]);
  });
  return [...groups].map(([name, members], place) => {
    const body = make("tbody");
    const fillRows = () =>
      fill(
        body,
        members.map((i) => valueRow(page.metrics[i], index, () => actions.metric(i))),
      );
    const isOpen = place === 0 || actions.openGroups.has(`group ${name}`);
    if (isOpen) fillRows();
    return make(
      "details",
      {
        class: "group",
        open: isOpen,
        on: {
          toggle: (event) => {
            remember(event, `group ${name}`, actions);
            if (event.target.open && !body.children.length) fillRows();
          },
        },
      },
      make("summary", {}, `${name || "Values"} `, make("span", { class: "muted" }, String(members.length))),
      make("table", { class: "values" }, body),
    );
  });
}

/** Keep a group open or closed while the panel goes from well to well. */
const remember = (event, name, actions) => actions.openGroups[event.target.open ? "add" : "delete"](name);

function valueRow(metric, index, choose) {
  return make(
    "tr",
    {},
    make(
      "th",
      { scope: "row" },
      make(
        "button",
        { type: "button", class: "link", title: metric.description || metric.name, on: { click: choose } },
        metricTitle(metric),
      ),
    ),
    make("td", {}, show(metric.values[index])),
    make("td", {}, placeBar(metric, metric.values[index])),
  );
}

/** The plate at a glance: what was decided of it and which wells to look at. */
function drawGlance(panel, page, open, choose) {
  const suspects = page.wells
    .map((well, index) => ({ well, index }))
    .filter(({ well }) => well.verdict === "fail" || well.verdict === "warn");
  suspects.sort((a, b) => (a.well.verdict === b.well.verdict ? a.index - b.index : a.well.verdict === "fail" ? -1 : 1));
  const waiting = page.wells.filter((well) => well.state === "waiting").length;
  const without = page.wells.filter((well) => well.state !== "done" && well.state !== "waiting").length;
  fill(
    panel,
    make("div", { class: "card-head" }, make("h2", {}, "Plate at a glance")),
    glanceStatistics(page, choose),
    waiting ? make("p", {}, `${show(waiting)} of ${show(page.wells.length)} wells are waited for.`) : null,
    without
      ? make("p", {}, `${show(without)} of ${show(page.wells.length)} wells were not measured or have no images.`)
      : null,
    make("h3", {}, suspectsTitle(suspects.length)),
    suspects.length
      ? make(
          "ul",
          { class: "suspects" },
          ...suspects.slice(0, 200).map(({ well, index }) =>
            make(
              "li",
              {},
              make(
                "button",
                {
                  type: "button",
                  class: "well-link",
                  dataset: { verdict: well.verdict },
                  on: { click: () => open(index) },
                },
                make("span", { class: "sign", "aria-hidden": "true" }, VERDICT_MARKS[well.verdict]),
                well.well,
              ),
              make("span", { class: "muted" }, well.reasons.join("; ") || VERDICT_WORDS[well.verdict]),
            ),
          ),
        )
      : null,
    suspects.length > 200
      ? make("p", { class: "muted" }, `and ${show(suspects.length - 200)} more: query the wells table`)
      : null,
    page.not_judged.length ? make("h3", {}, "Not judged") : null,
    reasonList(page.not_judged),
    make(
      "p",
      { class: "hint" },
      "Click a well for its pictures and values. Arrow keys walk over the plate, Enter opens, Escape closes.",
    ),
  );
}

function suspectsTitle(count) {
  const soFar = isProvisional() ? " so far" : "";
  return count ? `Wells to look at${soFar} (${show(count)})` : `No well failed${soFar}`;
}

/** The first statistics in one line each: how well the controls stand apart is the first question to a plate. */
function glanceStatistics(page, choose) {
  const known = page.statistics.filter((row) => isNumber(row.z_prime)).slice(0, 3);
  if (!known.length) return null;
  return make(
    "ul",
    { class: "glance-statistics" },
    ...known.map((row) =>
      make(
        "li",
        {},
        make("span", { class: "z-prime" }, "Z′ ", make("strong", {}, show(row.z_prime, 2))),
        zPrimeBadge(row.z_prime),
        make("span", { class: "muted" }, featureLink(row, page, choose)),
      ),
    ),
  );
}
