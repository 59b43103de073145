// The chart under the plate: the metric against the concentration of one treatment, controls at the sides. Without
// concentrations, controls beside samples.

const CHART = { width: 860, height: 250, left: 62, right: 12, top: 12, bottom: 42, side: 74 };

/** Treatments that have two or more concentrations, most concentrations first. */
function dosedTreatments(wells) {
  const doses = new Map();
  for (const well of wells) {
    if (!well.treatment || !hasPlace(well)) continue;
    const key = JSON.stringify([well.treatment, well.unit ?? ""]);
    doses.set(key, (doses.get(key) ?? new Set()).add(well.concentration));
  }
  return [...doses]
    .filter(([, found]) => found.size > 1)
    .sort((a, b) => b[1].size - a[1].size || (a[0] < b[0] ? -1 : 1))
    .map(([key]) => key);
}

/** Whether a well's concentration has a place on the axis: of 0 there is no logarithm. */
const hasPlace = (well) => isNumber(well.concentration) && (well.is_linear || well.concentration > 0);

const treatmentKey = (well) => JSON.stringify([well.treatment, well.unit ?? ""]);

/** Draw the chart into its box; a click on a point opens the well. */
function drawChart(box, page, metric, key, current, open) {
  const { wells } = page;
  const isDosed = (well) => key !== null && treatmentKey(well) === key && hasPlace(well);
  const bands = [
    ["negcon", "negative", "left"],
    ["poscon", "positive", "right"],
  ].filter(([control]) => wells.some((well) => well.control === control));
  const points = [];
  wells.forEach((well, index) => {
    const value = metric.values[index];
    if (!isNumber(value)) return;
    // A control with a concentration of the treatment shown belongs to its curve as well as to its band.
    if (bands.some(([control]) => control === well.control)) points.push({ index, value, band: well.control });
    if (key === null ? !CONTROL_WORDS[well.control] : isDosed(well))
      points.push({ index, value, band: "dose", dose: well.concentration });
  });
  if (!points.length) {
    fill(box, make("p", { class: "muted" }, "No well has a value of this metric."));
    return;
  }
  const { width, height, left, right, top, bottom, side } = CHART;
  const start = left + (bands.some(([, , where]) => where === "left") ? side : 0);
  const end = width - right - (bands.some(([, , where]) => where === "right") ? side : 0);
  const numbers = sortedNumbers(points.map((point) => point.value));
  let [low, high] = [numbers[0], numbers[numbers.length - 1]];
  const margin = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  low -= margin;
  high += margin;
  const y = (value) => top + (1 - (value - low) / (high - low)) * (height - top - bottom);
  const doses = [...new Set(points.filter((p) => p.band === "dose" && isNumber(p.dose)).map((p) => p.dose))].sort(
    (a, b) => a - b,
  );
  const byDose = key !== null && doses.length > 1;
  const dosed = byDose ? wells[points.find((point) => point.band === "dose").index] : null;
  const placeOf = (dose) => (dosed.is_linear ? dose : Math.log10(dose));
  const [first, last] = byDose ? [placeOf(doses[0]), placeOf(doses[doses.length - 1])] : [0, 1];
  const doseX = (dose) => start + 26 + ((placeOf(dose) - first) / (last - first)) * (end - start - 52);
  const spread = (index, size) => (((index * 7919) % 101) / 100 - 0.5) * size; // the same jitter on each drawing
  const x = (point) => {
    if (point.band === "negcon") return left + side / 2 + spread(point.index, side * 0.5);
    if (point.band === "poscon") return width - right - side / 2 + spread(point.index, side * 0.5);
    return byDose
      ? doseX(point.dose) + spread(point.index, 5)
      : (start + end) / 2 + spread(point.index, (end - start) * 0.8);
  };
  const svg = draw("svg", {
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-label": `${metricTitle(metric)} ${byDose ? "against concentration" : "of controls and samples"}`,
  });
  for (const tick of ticks(low, high, 7)) {
    svg.append(
      draw("line", { class: "rule", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
      draw(
        "text",
        { class: "label", x: left - 8, y: y(tick) + 4, "text-anchor": "end" },
        show(Number(tick.toPrecision(6)), 3),
      ),
    );
  }
  for (const [control, words, where] of bands) {
    const from = where === "left" ? left : end;
    const middle = median(points.filter((point) => point.band === control).map((point) => point.value));
    svg.append(
      draw("rect", { class: "band", x: from, y: top, width: side, height: height - top - bottom }),
      draw(
        "text",
        { class: "label", x: from + side / 2, y: height - bottom + 18, "text-anchor": "middle" },
        `${CONTROL_MARKS[control]} ${words}`,
      ),
    );
    if (middle !== null)
      svg.append(
        draw("line", {
          class: "middle",
          dataset: { band: control },
          x1: from + 8,
          x2: from + side - 8,
          y1: y(middle),
          y2: y(middle),
        }),
      );
  }
  if (byDose) drawDoses(svg, points, doses, doseX, y, dosed);
  else
    svg.append(
      draw(
        "text",
        { class: "label", x: (start + end) / 2, y: height - bottom + 18, "text-anchor": "middle" },
        "samples",
      ),
    );
  for (const point of points) {
    const well = wells[point.index];
    svg.append(
      draw(
        "circle",
        {
          class: "point",
          cx: x(point),
          cy: y(point.value),
          r: point.index === current ? 6 : 3.6,
          dataset: { band: point.band, verdict: well.verdict ?? "none", open: point.index === current },
          on: { click: () => open(point.index) },
        },
        draw("title", {}, [well.well, treatmentText(well), show(point.value)].filter(Boolean).join(", ")),
      ),
    );
  }
  fill(box, svg);
}

function drawDoses(svg, points, doses, doseX, y, { unit, is_linear: isLinear }) {
  const { width, height, bottom } = CHART;
  const line = doses.map((dose) => {
    const middle = median(
      points.filter((point) => point.band === "dose" && point.dose === dose).map((point) => point.value),
    );
    return `${doseX(dose)},${y(middle)}`;
  });
  svg.append(draw("polyline", { class: "curve", points: line.join(" ") }));
  let free = -Infinity;
  for (const dose of doses) {
    svg.append(
      draw("line", { class: "rule", x1: doseX(dose), x2: doseX(dose), y1: height - bottom, y2: height - bottom + 4 }),
    );
    if (doseX(dose) < free) continue;
    free = doseX(dose) + 44;
    svg.append(
      draw("text", { class: "label", x: doseX(dose), y: height - bottom + 18, "text-anchor": "middle" }, show(dose, 3)),
    );
  }
  svg.append(
    draw(
      "text",
      { class: "label", x: width / 2, y: height - 6, "text-anchor": "middle" },
      isLinear ? unit : `concentration${unit ? ` (${unit})` : ""}, logarithmic`,
    ),
  );
}
