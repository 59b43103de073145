// Verdicts: in words, as a metric of the heat map, as the reasons in the page's head and beside images.

const VERDICTS = ["pass", "warn", "fail"];
const VERDICT_WORDS = { pass: "pass", warn: "warning", fail: "fail" };
const VERDICT_MARKS = { pass: "✓", warn: "!", fail: "✕" };

/** From light to dark, so that they keep their order for every common colour vision and in grey print. */
const VERDICT_COLOURS = ["#cfe6d8", "#f2a72e", "#9d1b26"];

const HEAD_REASONS = 3;

/** While a plate is being imaged its verdicts may still change, and are called so. */
const isProvisional = () => (window.PLATE ?? window.LIVE)?.status === "imaging";

/** A verdict in words, e.g. "provisional warning". */
const verdictText = (verdict) => (isProvisional() ? "provisional " : "") + (VERDICT_WORDS[verdict] ?? verdict);

/** Verdict as a coloured word with its own sign, so that colour is never the only carrier. */
function verdictBadge(verdict, words = verdict ? verdictText(verdict) : "no verdict") {
  const sign = make("span", { class: "sign", "aria-hidden": "true" }, VERDICT_MARKS[verdict] ?? "·");
  return make("span", { class: "badge", dataset: { verdict: verdict ?? "none" } }, sign, words);
}

function reasonList(reasons) {
  return reasons.length ? make("ul", { class: "reasons" }, ...reasons.map((reason) => make("li", {}, reason))) : null;
}

/** The plate's reasons in the head, the worst first; beyond a few they unfold. */
function drawReasons(box, page) {
  const [first, rest] = [page.reasons.slice(0, HEAD_REASONS), page.reasons.slice(HEAD_REASONS)];
  fill(
    box,
    reasonList(first),
    rest.length
      ? make("details", {}, make("summary", {}, `${show(rest.length)} more`), reasonList(rest))
      : null,
  );
  box.hidden = !page.reasons.length;
  document.body.style.setProperty("--reasons", `${box.offsetHeight}px`); // the plate leaves this room
}

/** The wells' verdicts as a metric whose values are places in `VERDICTS`; null on a plate that has none. */
function verdictMetric(wells) {
  if (!wells.some((well) => well.verdict)) return null;
  return {
    name: "verdict",
    label: isProvisional() ? "Verdict (provisional)" : "Verdict",
    unit: "",
    description: "the worst of what was found on the well's images and sites; open a well for the reasons",
    group: "Quality",
    words: VERDICTS.map(verdictText),
    marks: VERDICTS.map((verdict) => VERDICT_MARKS[verdict]),
    values: wells.map((well) => (well.verdict ? VERDICTS.indexOf(well.verdict) : null)),
  };
}

/** How wells are coloured by their verdicts; see `colouring`. */
function verdictColouring(metric) {
  return {
    values: metric.values,
    sorted: sortedNumbers(metric.values),
    low: 0,
    high: VERDICTS.length - 1,
    full: [0, VERDICTS.length - 1],
    stops: VERDICT_COLOURS,
    title: metric.label,
    isChosen: false,
    share: (value) => value / (VERDICTS.length - 1),
  };
}

/** The legend of verdicts: colour, sign, word and number of wells of each. */
function drawVerdictLegend(legend, metric) {
  const entries = metric.words.map((words, value) => {
    const count = metric.values.filter((other) => other === value).length;
    const sample = make("span", { class: "swatch", "aria-hidden": "true" }, metric.marks[value]);
    sample.style.backgroundColor = VERDICT_COLOURS[value];
    sample.style.color = isLight(channelsOf(VERDICT_COLOURS[value])) ? "#10181f" : "#fff";
    return make("li", {}, sample, `${words}: ${show(count)} ${count === 1 ? "well" : "wells"}`);
  });
  fill(
    legend,
    make("p", { class: "legend-title" }, metric.label),
    make("ul", { class: "verdict-legend" }, ...entries),
  );
}

/** The images of a site that do not pass, with their reasons. */
function imageReasons(images) {
  const wrong = images.filter(([, image]) => image.reasons.length);
  if (!wrong.length) return null;
  return make(
    "ul",
    { class: "image-reasons" },
    ...wrong.map(([channel, image]) =>
      make("li", {}, dot(channel), channel.name, verdictBadge(image.verdict), reasonList(image.reasons)),
    ),
  );
}
