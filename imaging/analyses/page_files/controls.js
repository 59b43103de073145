// Control wells of each plate in the order of acquisition, with the limits of their chart and what is out of them.

/** Draw the chart of one feature; the select offers the others. */
function buildControls(box, report) {
  const features = [...new Set(report.charts.map((row) => row.feature ?? ""))];
  fillSelect(byId("chart-feature"), features.map((name) => [name, name || "value"]), features[0]);
  byId("chart-feature").addEventListener("change", (event) => redraw(event.target.value));
  if (!features.length) {
    byId("chart-feature").hidden = true;
    fill(box, nothing("There is no chart: it needs negative controls on two plates or more."));
    return;
  }
  redraw(features[0]);

  function redraw(feature) {
    const rows = report.charts.filter((row) => (row.feature ?? "") === feature && isNumber(row.mean));
    const signals = rows.filter((row) => row.signal);
    fill(
      box,
      rows.length ? make("div", { class: "scroll" }, controlChart(rows, feature, box.clientWidth)) : nothing("No plate has a value of this feature."),
      signals.length
        ? make(
            "ul",
            { class: "signals" },
            signals.slice(0, 100).map((row) =>
              make("li", {}, make("span", { class: "sign", "aria-hidden": "true" }, "▲"), pageLink(report.pages.get(row.plate), row.plate), make("span", { class: "muted" }, ` ${momentText(row.time)} `), row.signal),
            ),
          )
        : rows.length
          ? make("p", { class: "muted" }, `No signal in ${show(rows.length)} plates.`)
          : null,
    );
  }
}

function controlChart(rows, feature, room) {
  const [left, right, top, bottom, height] = [62, 14, 12, 46, 250];
  const width = Math.max(room, left + right + 14 * rows.length);
  const values = sortedNumbers(rows.flatMap((row) => [row.mean, row.low, row.high]));
  const margin = (values[values.length - 1] - values[0]) * 0.06 || 1;
  const [low, high] = [values[0] - margin, values[values.length - 1] + margin];
  const x = (i) => left + ((i + 0.5) * (width - left - right)) / rows.length;
  const y = (value) => top + (1 - (value - low) / (high - low)) * (height - top - bottom);
  const signals = rows.filter((row) => row.signal).length;
  const svg = draw("svg", {
    class: "control-chart",
    viewBox: `0 0 ${width} ${height}`,
    width,
    role: "img",
    "aria-label": `${feature || "value"} of the control wells of ${rows.length} plates in the order of acquisition, ${signals} out of limits`,
  });
  for (const tick of ticks(low, high, 5)) {
    svg.append(
      draw("line", { class: "rule", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
      draw("text", { class: "label", x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, show(Number(tick.toPrecision(6)), 3)),
    );
  }
  for (const [name, kind] of [["centre", "centre"], ["low", "limit"], ["high", "limit"]]) {
    const line = rows.map((row, i) => [x(i), row[name]]).filter(([, value]) => isNumber(value));
    if (line.length) svg.append(draw("polyline", { class: kind, points: line.map(([at, value]) => `${at.toFixed(1)},${y(value).toFixed(1)}`).join(" ") }));
  }
  svg.append(draw("polyline", { class: "way", points: rows.map((row, i) => `${x(i).toFixed(1)},${y(row.mean).toFixed(1)}`).join(" ") }));
  const every = Math.ceil(64 / ((width - left - right) / rows.length));
  rows.forEach((row, i) => {
    const title = draw("title", {}, [row.plate, momentText(row.time), show(row.mean), row.signal].filter(Boolean).join(", "));
    const at = [x(i), y(row.mean)];
    svg.append(
      row.signal
        ? draw("path", { class: "signal", d: `M${at[0]} ${at[1] - 7}l6.5 11h-13z` }, title)
        : draw("circle", { class: "value", cx: at[0], cy: at[1], r: 3.6 }, title),
    );
    if (i % every === 0)
      svg.append(draw("text", { class: "label", x: x(i), y: height - bottom + 18, "text-anchor": "middle" }, row.plate.length > 12 ? `…${row.plate.slice(-10)}` : row.plate));
  });
  svg.append(draw("text", { class: "label", x: left, y: height - 8 }, "plates in the order of acquisition"));
  return svg;
}
