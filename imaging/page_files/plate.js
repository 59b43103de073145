// The plate: a grid of buttons, one per well, coloured by a metric or lying over the pictures.

/** Build the grid once; `open(well index)` is called for a click or Enter. Returns what redraws it. */
function buildPlate(plate, page, open) {
  const { rows, columns, wells } = page;
  const buttons = [];
  const at = new Map(wells.map((well, i) => [`${well.row},${well.column}`, i]));
  const strips = { rows: [], columns: [] };
  let colours = null;
  let shownMetric = null;

  plate.style.setProperty("--rows", rows);
  plate.style.setProperty("--columns", columns);
  plate.setAttribute("aria-rowcount", rows);
  plate.setAttribute("aria-colcount", columns);
  const layer = make("div", { class: "picture-layer pictures-only", id: "picture-layer", "aria-hidden": "true" });
  plate.append(layer);
  for (let column = 1; column <= columns; column += 1) {
    plate.append(place(make("span", { class: "head", "aria-hidden": "true" }, String(column)), 1, column + 1));
  }
  for (let row = 0; row < rows; row += 1) {
    const line = make("div", { class: "line", role: "row", "aria-rowindex": row + 1 });
    line.append(place(make("span", { class: "head", "aria-hidden": "true" }, rowName(row)), row + 2, 1));
    for (let column = 1; column <= columns; column += 1) {
      const index = at.get(`${row},${column}`);
      const cell = make("div", { class: "cell", role: "gridcell", "aria-colindex": column });
      if (index !== undefined) {
        buttons[index] = make("button", {
          type: "button",
          class: "well",
          tabindex: "-1",
          dataset: marksOf(wells[index]),
        });
        buttons[index].dataset.index = index;
        cell.append(buttons[index]);
      }
      line.append(place(cell, row + 2, column + 1));
    }
    strips.rows.push(strip(row + 2, columns + 2, `row ${rowName(row)}`));
    plate.append(line, strips.rows[row]);
  }
  for (let column = 1; column <= columns; column += 1) {
    strips.columns.push(strip(rows + 2, column + 1, `column ${column}`));
    plate.append(strips.columns[column - 1]);
  }

  function strip(row, column, name) {
    return place(make("span", { class: "strip heat-only", dataset: { name } }), row, column);
  }

  function focus(index, alsoOpen) {
    for (const button of plate.querySelectorAll('.well[tabindex="0"]')) button.tabIndex = -1;
    buttons[index].tabIndex = 0;
    if (alsoOpen) buttons[index].focus();
  }

  /** Nearest well in a direction; gaps of a partly imaged plate are jumped over. */
  function neighbour(index, down, right) {
    let { row, column } = wells[index];
    for (;;) {
      row += down;
      column += right;
      if (row < 0 || row >= rows || column < 1 || column > columns) return index;
      const found = at.get(`${row},${column}`);
      if (found !== undefined) return found;
    }
  }

  const edge = (index, down, right) => {
    for (let next = neighbour(index, down, right); next !== index; next = neighbour(index, down, right)) index = next;
    return index;
  };

  plate.addEventListener("keydown", (event) => {
    const index = wellOf(event.target);
    if (index === null || event.altKey || event.metaKey) return;
    const moves = {
      ArrowUp: () => neighbour(index, -1, 0),
      ArrowDown: () => neighbour(index, 1, 0),
      ArrowLeft: () => neighbour(index, 0, -1),
      ArrowRight: () => neighbour(index, 0, 1),
      Home: () => (event.ctrlKey ? 0 : edge(index, 0, -1)),
      End: () => (event.ctrlKey ? wells.length - 1 : edge(index, 0, 1)),
      PageUp: () => edge(index, -1, 0),
      PageDown: () => edge(index, 1, 0),
    };
    if (!moves[event.key]) return;
    event.preventDefault();
    const next = moves[event.key]();
    focus(next, true);
    if (plate.querySelector('[aria-current="true"]')) open(next); // an open well travels along
  });
  plate.addEventListener("click", (event) => {
    const index = wellOf(event.target);
    if (index !== null) open(index);
  });
  new ResizeObserver(() => {
    const cell = buttons[0]?.getBoundingClientRect().width ?? 0;
    plate.dataset.cell = cell >= 44 ? "large" : cell >= 20 ? "medium" : "small";
  }).observe(plate);
  if (wells.length) focus(0, false);

  return {
    buttons,
    layer,

    /** Colour and label every well by a metric. */
    paint(metric, colouringNow) {
      [colours, shownMetric] = [colouringNow, metric];
      wells.forEach((well, i) => {
        const value = colours.values[i];
        const button = buttons[i];
        const has = isNumber(value);
        const colour = has ? colourAt(colours.stops, colours.share(value)) : null;
        button.style.backgroundColor = has ? css(colour) : "";
        button.dataset.ink = has ? (isLight(colour) ? "dark" : "light") : "none";
        button.dataset.value = has ? (metric.marks?.[value] ?? show(value, 3)) : "";
        button.setAttribute("aria-label", spokenLabel(well, metric, metric.values[i]));
      });
      const [name, middle] = metric.words ? ["Worst", worstOf] : ["Median", median];
      paintStrip(strips.rows, (well, i) => well.row === i, name, middle);
      paintStrip(strips.columns, (well, i) => well.column === i + 1, name, middle);
    },

    /** Mark the open well. */
    markOpen(index) {
      for (const button of plate.querySelectorAll("[aria-current]")) button.removeAttribute("aria-current");
      if (index === null) return;
      buttons[index].setAttribute("aria-current", "true");
      focus(index, false);
    },

    /** Fade every well that is not in the set; null shows all. */
    highlight(shown) {
      plate.classList.toggle("searching", shown !== null);
      buttons.forEach((button, i) => button.classList.toggle("found", shown !== null && shown.has(i)));
    },
  };

  function paintStrip(cells, isIn, name, middle) {
    cells.forEach((cell, i) => {
      const value = middle(colours.values.filter((_, index) => isIn(wells[index], i)));
      cell.style.backgroundColor = value === null ? "" : css(colourAt(colours.stops, colours.share(value)));
      cell.title = `${name} of ${cell.dataset.name}: ${metricText(shownMetric, value)}`;
    });
  }
}

/** The greatest of some numbers: of verdicts, the worst. */
const worstOf = (values) => (values.some(isNumber) ? Math.max(...values.filter(isNumber)) : null);

/** Index of the well whose button an event hit; null for anything else. */
function wellOf(target) {
  const button = target.closest?.("[data-index]");
  return button ? Number(button.dataset.index) : null;
}

function place(element, row, column) {
  element.style.gridRow = row;
  element.style.gridColumn = column;
  return element;
}

const rowName = (row) => (row < 26 ? "" : "A") + String.fromCharCode(65 + (row % 26));

function marksOf(well) {
  const marks = { verdict: well.verdict ?? "none", control: well.control ?? "none", state: well.state };
  if (CONTROL_MARKS[well.control]) marks.mark = CONTROL_MARKS[well.control];
  return marks;
}

/** What a screen reader says of a well, e.g. "B03, wortmannin 0.3 µM, Cells count 187, fail". */
function spokenLabel(well, metric, value) {
  const number = isNumber(value) ? metricText(metric, value) : "no value";
  const parts = [well.well, treatmentText(well), CONTROL_WORDS[well.control], `${metric.label} ${number}`];
  if (well.state !== "done") parts.push(well.state);
  if (well.verdict && well.verdict !== "pass" && !metric.words) parts.push(verdictText(well.verdict));
  return parts.filter(Boolean).join(", ");
}

/** A small box beside the pointer with what is known of the well under it. */
function buildTip(tip, plate, page, metricNow) {
  plate.addEventListener("pointermove", (event) => {
    const index = wellOf(event.target);
    tip.hidden = index === null;
    if (index === null) return;
    const well = page.wells[index];
    const metric = metricNow();
    fill(
      tip,
      make("strong", {}, well.well),
      ` ${treatmentText(well)}`,
      metric.words ? null : make("div", {}, `${metricTitle(metric)}: ${show(metric.values[index])}`),
      CONTROL_WORDS[well.control] ? make("div", {}, CONTROL_WORDS[well.control]) : null,
      well.verdict && well.verdict !== "pass" ? make("div", {}, verdictBadge(well.verdict)) : null,
      well.reasons.slice(0, 3).map((reason) => make("div", { class: "muted" }, reason)),
    );
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - box.width - 8)}px`;
    tip.style.top = `${event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 12 : event.clientY + 18}px`;
  });
  plate.addEventListener("pointerleave", () => {
    tip.hidden = true;
  });
}

/** The key to the marks that occur on this plate. */
function drawMarks(list, wells) {
  const present = (test) => wells.some(test);
  const entries = [
    ...Object.entries(CONTROL_WORDS).map(([control, words]) => [
      present((w) => w.control === control),
      { control, mark: CONTROL_MARKS[control] },
      words,
    ]),
    [present((w) => w.verdict === "fail"), { verdict: "fail" }, verdictText("fail")],
    [present((w) => w.verdict === "warn"), { verdict: "warn" }, verdictText("warn")],
    [present((w) => w.state === "waiting"), { ink: "none", state: "waiting" }, "waited for"],
    [true, { ink: "none" }, "no value"],
  ];
  fill(
    list,
    entries
      .filter(([occurs]) => occurs)
      .map(([, dataset, words]) =>
        make("li", {}, make("span", { class: "well sample", dataset, "aria-hidden": "true" }), words),
      ),
  );
}
