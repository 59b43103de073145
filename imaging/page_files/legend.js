// The colour legend: how the wells spread over the scale, the scale itself, and limits that can be typed.

/** Draw the legend; `choose([low, high] or null)` sets the limits or gives them back to the robust choice. */
function drawLegend(legend, colours, wells, choose) {
  const { low, high, sorted, stops, full } = colours;
  const bins = new Array(48).fill(0);
  for (const value of sorted) {
    bins[Math.min(bins.length - 1, Math.max(0, Math.floor(colours.share(value) * bins.length)))] += 1;
  }
  const tallest = Math.max(1, ...bins);
  const bars = bins.map((count, i) =>
    draw("rect", {
      x: i,
      width: 0.86,
      y: 20 - (count / tallest) * 20,
      height: (count / tallest) * 20,
      fill: css(colourAt(stops, (i + 0.5) / bins.length)),
    }),
  );
  const histogram = draw(
    "svg",
    {
      viewBox: `0 0 ${bins.length} 20`,
      preserveAspectRatio: "none",
      class: "histogram",
      role: "img",
      "aria-label": `Histogram of ${sorted.length} wells`,
    },
    ...bars,
  );
  const bar = make("div", { class: "bar" });
  bar.style.background = gradientOf(stops);
  for (const control of ["negcon", "poscon"]) {
    const middle = median(colours.values.filter((_, i) => wells[i].control === control));
    if (middle === null) continue;
    const sign = make(
      "span",
      { class: "pointer", title: `Median of the ${CONTROL_WORDS[control]}s: ${show(middle)}` },
      CONTROL_MARKS[control],
    );
    sign.style.left = `${Math.min(1, Math.max(0, colours.share(middle))) * 100}%`;
    bar.append(sign);
  }
  const outside = [sorted.filter((v) => v < low).length, sorted.filter((v) => v > high).length];
  fill(
    legend,
    make("p", { class: "legend-title" }, colours.title),
    make("div", { class: "scale" }, histogram, bar),
    make(
      "div",
      { class: "limits" },
      limit("Lower colour limit", low, (value) => choose([value, high])),
      make("span", { class: "muted" }, outsideText(outside)),
      limit("Upper colour limit", high, (value) => choose([low, value])),
    ),
    make(
      "div",
      { class: "segments", role: "group", "aria-label": "Colour limits" },
      make(
        "button",
        {
          type: "button",
          "aria-pressed": String(!colours.isChosen),
          title: "2nd to 98th percentile of the wells",
          on: { click: () => choose(null) },
        },
        "Robust",
      ),
      make(
        "button",
        {
          type: "button",
          "aria-pressed": String(colours.isChosen && low === full[0] && high === full[1]),
          title: "Smallest to largest well",
          on: { click: () => choose(full) },
        },
        "Full",
      ),
    ),
  );
}

function limit(name, value, changed) {
  const rounded = Number(value.toPrecision(4));
  return make("input", {
    type: "number",
    step: "any",
    value: rounded,
    "aria-label": name,
    on: {
      change: (event) => {
        if (isNumber(event.target.valueAsNumber)) changed(event.target.valueAsNumber);
      },
    },
  });
}

function outsideText([below, above]) {
  if (!below && !above) return "";
  return `${below} below, ${above} above`;
}
