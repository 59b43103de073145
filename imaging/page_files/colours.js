// Colour scales. Both keep their order for every common colour vision and in grey print.

const VIRIDIS = [
  "#440154",
  "#482475",
  "#414487",
  "#355f8d",
  "#2a788e",
  "#21918c",
  "#22a884",
  "#44bf70",
  "#7ad151",
  "#bddf26",
  "#fde725",
];
const BLUE_ORANGE = ["#12436d", "#2b7bba", "#7fb8de", "#cfe3f0", "#f3f1ec", "#f7d9b5", "#eda85c", "#cf6f1a", "#87400a"];

const channelsOf = (hex) => [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));

/** Colour [red, green, blue] at a share from 0 to 1 of a scale. */
function colourAt(stops, share) {
  const place = Math.min(1, Math.max(0, share)) * (stops.length - 1);
  const below = Math.min(Math.floor(place), stops.length - 2);
  const [from, to] = [channelsOf(stops[below]), channelsOf(stops[below + 1])];
  return from.map((value, i) => Math.round(value + (to[i] - value) * (place - below)));
}

const css = (colour) => `rgb(${colour.join(", ")})`;

/** Whether black ink reads better than white on a colour. */
const isLight = ([red, green, blue]) => 0.299 * red + 0.587 * green + 0.114 * blue > 140;

const gradientOf = (stops) => `linear-gradient(to right, ${stops.join(", ")})`;

/**
 * How the wells are coloured by a metric: the values to colour, limits, stops, and in words.
 *
 * Robust limits are the 2nd and 98th percentile of the plate's wells. A robust z is measured from the negative
 * controls where three or more of them vary, otherwise from all wells; its limits are symmetric and at least 3.
 */
function colouring(metric, wells, byZ, chosen) {
  if (metric.words) return verdictColouring(metric);
  let values = metric.values;
  let title = metricTitle(metric);
  let limits = [quantile(sortedNumbers(values), 0.02), quantile(sortedNumbers(values), 0.98)];
  if (byZ) {
    const negative = values.filter((value, i) => wells[i].control === "negcon" && isNumber(value));
    let reference = centreAndSpread(negative);
    const usesControls = negative.length >= 3 && reference.spread > 0;
    if (!usesControls) reference = centreAndSpread(values);
    values = values.map((value) =>
      isNumber(value) && reference.spread > 0 ? (value - reference.centre) / reference.spread : null,
    );
    const size = quantile(sortedNumbers(values.map((value) => (isNumber(value) ? Math.abs(value) : null))), 0.98);
    limits = [-Math.max(3, size), Math.max(3, size)];
    title = `${metric.label}: robust z from ${usesControls ? "negative controls" : "all wells"}`;
  }
  const sorted = sortedNumbers(values);
  const full = sorted.length ? [sorted[0], sorted[sorted.length - 1]] : [0, 1];
  let [low, high] = chosen ?? limits;
  if (!isNumber(low)) [low, high] = [0, 1];
  if (high <= low) high = low + (Math.abs(low) * 1e-6 || 1);
  const stops = byZ ? BLUE_ORANGE : VIRIDIS;
  return {
    values,
    sorted,
    low,
    high,
    full,
    stops,
    title,
    isChosen: Boolean(chosen),
    share: (v) => (v - low) / (high - low),
  };
}
