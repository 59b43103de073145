// The map: profiles on their first two principal components, on canvas, since thousands of points are too many for SVG.

const MAP_KINDS = {
  trt: ["treated", "circle"],
  hit: ["hit", "diamond"],
  negcon: ["negative control", "square"],
  poscon: ["positive control", "triangle"],
  empty: ["empty well", "cross"],
};

/** Build the map once; returns what redraws it around an open treatment. */
function buildMap(box, report, open) {
  const { points } = report;
  if (!points.length) {
    fill(box, nothing("There is no profile to place: the map needs features that vary."));
    byId("map-colour").hidden = true;
    return { redraw: () => {} };
  }
  const isHit = new Set(report.hits.filter((row) => row.is_hit === true).map(keyOf));
  const kinds = points.map((point) => (point.control && point.control !== "trt" ? point.control : isHit.has(keyOf(point)) ? "hit" : "trt"));
  const batches = new Map(report.plates.map((row) => [row.plate, row.batch ?? ""]));
  const ways = {
    kind: ["Kind of well", (i) => kinds[i]],
    plate: ["Plate", (i) => points[i].plate ?? ""],
    batch: ["Batch", (i) => batches.get(points[i].plate) ?? ""],
    mechanism: ["Mechanism", (i) => report.hits[report.places.get(keyOf(points[i]))]?.mechanism ?? ""],
  };
  const offered = Object.entries(ways).filter(([name, [, of]]) => name === "kind" || new Set(points.map((_, i) => of(i))).size > 1);
  fillSelect(byId("map-colour"), offered.map(([name, [words]]) => [name, words]), "kind");
  let way = "kind";
  let current = null;
  let places = [];

  const canvas = make("canvas", { class: "map-canvas", role: "img" });
  const legend = make("ul", { class: "marks map-legend", "aria-label": "Key of the map" });
  const share = (value) => (isNumber(value) ? ` (${show(100 * value, 2)} % of the variance)` : "");
  fill(
    box,
    canvas,
    make("p", { class: "muted axes" }, `Across: component 1${share(report.explained[0])}; up: component 2${share(report.explained[1])}. A click opens the treatment.`),
    legend,
  );
  const [xs, ys] = ["x", "y"].map((name) => limitsOf(points.map((point) => point[name])));

  function limitsOf(values) {
    const sorted = sortedNumbers(values);
    const [low, high] = [sorted[0], sorted[sorted.length - 1]];
    const margin = (high - low) * 0.05 || 1;
    return [low - margin, high + margin];
  }

  /** Categories by how many points are of each, the largest first. */
  function categories() {
    const counts = new Map();
    points.forEach((_, i) => counts.set(ways[way][1](i), (counts.get(ways[way][1](i)) ?? 0) + 1));
    return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  }

  const KIND_COLOURS = { trt: "#56a5d8", hit: "#d55e00", negcon: "#7a8794", poscon: "#009e73", empty: "#b0b7bf" };

  function redraw(row = current) {
    current = row;
    const scale = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width) return;
    [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    const found = categories();
    const order = new Map(found.map(([name], place) => [name, place]));
    const colourOf = (i) => (way === "kind" ? KIND_COLOURS[kinds[i]] : ways[way][1](i) === "" ? OTHER : categoryColour(order.get(ways[way][1](i))));
    places = points.map(({ x, y }) => [
      ((x - xs[0]) / (xs[1] - xs[0])) * width,
      (1 - (y - ys[0]) / (ys[1] - ys[0])) * height,
    ]);
    const size = points.length > 3000 ? 2 : points.length > 600 ? 2.8 : 3.8;
    context.strokeStyle = styleColour("--line");
    context.strokeRect(0.5, 0.5, width - 1, height - 1);
    const isOpen = (i) => current !== null && keyOf(points[i]) === keyOf(report.hits[current]);
    const layers = ["trt", "empty", "negcon", "poscon", "hit"]; // what is rare lies above what is common
    for (const layer of layers) {
      points.forEach((_, i) => {
        if (kinds[i] === layer && isNumber(points[i].x)) drawMark(context, MAP_KINDS[layer][1], places[i], size, colourOf(i), layer === "trt" ? 0.55 : 0.85);
      });
    }
    context.lineWidth = 2;
    context.strokeStyle = styleColour("--ink");
    context.globalAlpha = 1;
    places.forEach(([x, y], i) => {
      if (!isOpen(i)) return;
      context.beginPath();
      context.arc(x, y, size + 4, 0, 2 * Math.PI);
      context.stroke();
    });
    const counts = found.slice(0, 4).map(([name, count]) => `${show(count)} ${(way === "kind" ? MAP_KINDS[name]?.[0] : name) || "without a name"}`);
    canvas.setAttribute("aria-label", `Map of ${show(points.length)} profiles: ${counts.join(", ")}${current === null ? "" : `; ${report.hits[current].treatment} is marked`}`);
    drawLegend(found, colourOf);
  }

  function drawLegend(found, colourOf) {
    const shown = found.slice(0, CATEGORIES.length);
    const first = new Map();
    points.forEach((_, i) => first.has(ways[way][1](i)) || first.set(ways[way][1](i), i));
    fill(
      legend,
      shown.map(([name, count]) => {
        const shape = way === "kind" ? MAP_KINDS[name]?.[1] : "circle";
        return make("li", {}, keyMark(shape, colourOf(first.get(name))), `${(way === "kind" ? MAP_KINDS[name]?.[0] : name) || "without a name"} `, make("span", { class: "muted" }, show(count)));
      }),
      found.length > shown.length ? make("li", {}, keyMark("circle", OTHER), `${show(found.length - shown.length)} others`) : null,
    );
  }

  function nearest(event) {
    const frame = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
    let [best, least] = [null, 144];
    places.forEach(([px, py], i) => {
      const far = (px - x) ** 2 + (py - y) ** 2;
      if (far < least) [best, least] = [i, far];
    });
    return best;
  }

  const tip = byId("tip");
  canvas.addEventListener("pointermove", (event) => {
    const i = nearest(event);
    tip.hidden = i === null;
    canvas.style.cursor = i === null ? "" : "pointer";
    if (i === null) return;
    const point = points[i];
    fill(tip, make("strong", {}, point.treatment || MAP_KINDS[kinds[i]]?.[0] || "well"), ` ${doseText(point)}`, make("div", { class: "muted" }, [point.plate, point.well, MAP_KINDS[kinds[i]]?.[0]].filter(Boolean).join(", ")));
    const size = tip.getBoundingClientRect();
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - size.width - 8)}px`;
    tip.style.top = `${event.clientY + 18 + size.height > innerHeight ? event.clientY - size.height - 12 : event.clientY + 18}px`;
  });
  canvas.addEventListener("pointerleave", () => {
    tip.hidden = true;
  });
  canvas.addEventListener("click", (event) => {
    const i = nearest(event);
    const row = i === null ? undefined : report.places.get(keyOf(points[i]));
    if (row !== undefined) open(row);
  });
  byId("map-colour").addEventListener("change", (event) => {
    way = event.target.value;
    redraw();
  });
  new ResizeObserver(() => redraw()).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
  return { redraw };
}

/** One mark of the map; its shape says the kind of well where colour does not. */
function drawMark(context, shape, [x, y], size, colour, alpha) {
  context.globalAlpha = alpha;
  context.fillStyle = context.strokeStyle = colour;
  context.lineWidth = 1.4;
  context.beginPath();
  if (shape === "circle") context.arc(x, y, size, 0, 2 * Math.PI);
  else if (shape === "square") context.rect(x - size, y - size, 2 * size, 2 * size);
  else {
    const corners = { triangle: [[0, -1.3], [1.2, 0.9], [-1.2, 0.9]], diamond: [[0, -1.5], [1.5, 0], [0, 1.5], [-1.5, 0]], cross: [[-1, -1], [1, 1], [1, -1], [-1, 1]] }[shape];
    corners.forEach(([dx, dy], i) => (i ? context.lineTo(x + dx * size, y + dy * size) : context.moveTo(x + dx * size, y + dy * size)));
    context.closePath();
  }
  if (shape === "square" || shape === "cross") context.stroke();
  else context.fill();
}

/** The same mark for the key, as SVG. */
function keyMark(shape, colour) {
  const shapes = {
    circle: ["circle", { cx: 8, cy: 8, r: 4.5 }],
    square: ["rect", { x: 3.5, y: 3.5, width: 9, height: 9 }],
    triangle: ["path", { d: "M8 2.5 13.5 13H2.5z" }],
    diamond: ["path", { d: "M8 1.5 14.5 8 8 14.5 1.5 8z" }],
    cross: ["path", { d: "M3 3 13 13 13 3 3 13z" }],
  };
  const [tag, attributes] = shapes[shape] ?? shapes.circle;
  const isHollow = shape === "square" || shape === "cross";
  return draw("svg", { class: "key-mark", viewBox: "0 0 16 16", "aria-hidden": "true" }, draw(tag, { ...attributes, fill: isHollow ? "none" : colour, stroke: colour, "stroke-width": 1.6 }));
}
