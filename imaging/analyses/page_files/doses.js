// Dose curves: the points of a treatment and, where it was fitted, the four-parameter logistic through them.

/**
 * Curves by feature and treatment; each has doses, points at them as far as they are known, and
 * the fit or the reason why there is none.
 */
function curvesOf(doses) {
  const features = new Map();
  for (const row of doses) {
    if (!isNumber(row.concentration) || (row.concentration <= 0 && !row.is_linear)) continue;
    const feature = row.feature ?? "";
    if (!features.has(feature)) features.set(feature, new Map());
    const curves = features.get(feature);
    if (!curves.has(row.treatment)) curves.set(row.treatment, { ...row, feature, points: [], doses: [] });
    const curve = curves.get(row.treatment);
    curve.doses.push(row.concentration);
    if (isNumber(row.value)) curve.points.push([row.concentration, row.value]);
  }
  for (const curves of features.values()) {
    for (const curve of curves.values()) {
      curve.points.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
      curve.doses = [...new Set(curve.doses)].sort((a, b) => a - b);
    }
  }
  return features;
}

const isFitted = (curve) =>
  [curve.bottom, curve.top, curve.hill, curve.ec50].every(isNumber) && (curve.is_linear || curve.ec50 > 0);

/** Place of a dose on its axis: the logarithm of a concentration; numbers of places and logarithms as they are. */
const placeOf = (curve, dose) => (curve.is_linear ? dose : Math.log10(dose));
const doseAt = (curve, place) => (curve.is_linear ? place : 10 ** place);

/** Value of the fit at a dose. */
const fitAt = (curve, dose) =>
  curve.bottom + (curve.top - curve.bottom) / (1 + 10 ** (curve.hill * (placeOf(curve, curve.ec50) - placeOf(curve, dose))));

/** Medians of the points at each concentration. */
function middles(curve) {
  const doses = [...new Set(curve.points.map(([dose]) => dose))];
  return doses.map((dose) => [dose, median(curve.points.filter(([other]) => other === dose).map(([, v]) => v))]);
}

/** What a curve says in words: its EC50 with the interval, or why it has none. */
function curveText(curve) {
  const unit = curve.unit ? ` ${curve.unit}` : "";
  if (isNumber(curve.ec50)) {
    const interval = isNumber(curve.low) && isNumber(curve.high) ? ` (${show(curve.low, 3)} – ${show(curve.high, 3)})` : "";
    return `EC50 ${show(curve.ec50, 3)}${unit}${interval}`;
  }
  return curve.reason ? `no fit: ${curve.reason}` : "no fit";
}

/** Scales of a curve's picture; all curves of a feature may share their values' range. */
function scalesOf(curve, range, box) {
  const [first, last] = [curve.doses[0], curve.doses[curve.doses.length - 1]].map((dose) => placeOf(curve, dose));
  const values = range ?? valueRange([curve]);
  const x = (dose) =>
    last > first ? box.left + ((placeOf(curve, dose) - first) / (last - first)) * box.width : box.left + box.width / 2;
  const y = (value) => box.top + (1 - (value - values[0]) / (values[1] - values[0])) * box.height;
  return { x, y, first, last, values };
}

/** Smallest and largest value of curves, never equal. */
function valueRange(curves) {
  let [low, high] = [Infinity, -Infinity];
  for (const curve of curves) {
    const values = curve.points.map(([, value]) => value);
    if (isFitted(curve)) values.push(...curve.doses.map((dose) => fitAt(curve, dose)));
    for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  }
  if (low > high) return [0, 1];
  const margin = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  return [low - margin, high + margin];
}

function linePath(curve, { x, y, first, last }) {
  const steps = isFitted(curve)
    ? Array.from({ length: 41 }, (_, i) => doseAt(curve, first + ((last - first) * i) / 40)).map((dose) => [dose, fitAt(curve, dose)])
    : middles(curve);
  return steps.map(([dose, value]) => `${x(dose).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
}

/** A curve as small as a word, in the range of all curves of its feature. */
function drawSpark(curve, range, current) {
  const scales = scalesOf(curve, range, { left: 4, top: 3, width: 96, height: 24 });
  const svg = draw("svg", { class: "spark", viewBox: "0 0 104 30", role: "img", "aria-label": curveText(curve) });
  svg.append(draw("polyline", { class: "curve", points: linePath(curve, scales), dataset: { fitted: isFitted(curve) } }));
  for (const [dose, value] of middles(curve)) {
    const isHere = dose === current;
    svg.append(
      draw("circle", { class: "dot-value", cx: scales.x(dose), cy: scales.y(value), r: isHere ? 3.2 : 1.7, dataset: { here: isHere } }),
    );
  }
  return svg;
}

/** A curve with its axes, its fit and the interval of EC50. */
function drawCurve(curve, range, current) {
  const [width, height] = [420, 210];
  const box = { left: 56, top: 10, width: width - 72, height: height - 52 };
  const scales = scalesOf(curve, range, box);
  const bottom = box.top + box.height;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${curve.feature}: ${curveText(curve)}` });
  for (const tick of ticks(...scales.values, 4)) {
    svg.append(
      draw("line", { class: "rule", x1: box.left, x2: box.left + box.width, y1: scales.y(tick), y2: scales.y(tick) }),
      draw("text", { class: "label", x: box.left - 6, y: scales.y(tick) + 4, "text-anchor": "end" }, show(Number(tick.toPrecision(6)), 3)),
    );
  }
  const inside = (dose) => Math.min(box.left + box.width, Math.max(box.left, scales.x(dose)));
  if (isNumber(curve.ec50)) {
    if (isNumber(curve.low) && isNumber(curve.high) && (curve.is_linear || curve.low > 0))
      svg.append(
        draw("rect", { class: "interval", x: inside(curve.low), width: Math.max(1, inside(curve.high) - inside(curve.low)), y: box.top, height: box.height }),
      );
    svg.append(draw("line", { class: "ec50", x1: inside(curve.ec50), x2: inside(curve.ec50), y1: box.top, y2: bottom }));
  }
  svg.append(draw("polyline", { class: "curve", points: linePath(curve, scales), dataset: { fitted: isFitted(curve) } }));
  let free = -Infinity;
  for (const dose of curve.doses) {
    if (scales.x(dose) < free) continue;
    free = scales.x(dose) + 40;
    svg.append(draw("text", { class: "label", x: scales.x(dose), y: bottom + 16, "text-anchor": "middle" }, show(dose, 3)));
  }
  for (const [dose, value] of curve.points) {
    svg.append(
      draw(
        "circle",
        { class: "dot-value", cx: scales.x(dose), cy: scales.y(value), r: 3.6, dataset: { here: dose === current } },
        draw("title", {}, `${show(dose)}${curve.unit ? ` ${curve.unit}` : ""}: ${show(value)}`),
      ),
    );
  }
  svg.append(
    draw("text", { class: "label", x: box.left + box.width / 2, y: height - 6, "text-anchor": "middle" }, curve.is_linear ? curve.unit : `concentration${curve.unit ? ` (${curve.unit})` : ""}, logarithmic`),
  );
  return make("figure", { class: "curve-figure" }, make("figcaption", {}, make("strong", {}, curve.feature || "value"), ` ${curveText(curve)}`), svg);
}
