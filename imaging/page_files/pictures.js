// Pictures: the overview of the plate, and the pictures of one site cut from the sheets, or from the overview while a
// plate is being imaged. The files are 8-bit and
// linear between two limits in camera counts; a filter per channel stretches them between the limits chosen here.

/** Build the filters, the overview and its controls. Returns what the well's panel needs. */
function buildPictures(page, layer, tools, changed) {
  const { pictures, channels } = page;
  const shown = { composite: channels.length > 1, single: 0, inComposite: new Set(channels.map((_, i) => i)) };
  // A transmitted-light channel would wash out the colours: it starts outside the composite.
  channels.forEach((channel, i) => {
    if (isGrey(channel.color) && channels.length > 1) shown.inComposite.delete(i);
  });
  if (!shown.inComposite.size) channels.forEach((_, i) => shown.inComposite.add(i));
  const limits = pictures.channels.map(({ low, high }) => [low, high]);
  const colours = [];
  const greys = [];
  channels.forEach((channel, i) => {
    const [red, green, blue] = channelsOf(channel.color).map((value) => value / 255);
    const colour = [red, 0, 0, 0, 0, green, 0, 0, 0, 0, blue, 0, 0, 0, 0, 0, 0, 0, 1, 0].join(" ");
    greys.push(toneFilter(`grey-${i}`, null));
    colours.push(toneFilter(`colour-${i}`, colour));
  });
  byId("filters").append(...greys, ...colours);
  const overviews = pictures.channels.map(({ file, channel }) =>
    make("img", { alt: `Overview of channel ${channel}`, dataset: { file }, draggable: "false" }),
  );
  layer.append(...overviews);
  channels.forEach((_, i) => setTone(i));

  function setTone(i) {
    const { low, high } = pictures.channels[i];
    const [from, to] = limits[i];
    const slope = (high - low) / (to - from);
    const intercept = (low - from) / (to - from);
    for (const filter of [greys[i], colours[i]]) {
      for (const part of filter.querySelectorAll("feFuncR, feFuncG, feFuncB")) {
        part.setAttribute("slope", slope);
        part.setAttribute("intercept", intercept);
      }
    }
  }

  const visible = () => (shown.composite ? [...shown.inComposite].sort((a, b) => a - b) : [shown.single]);
  const filterOf = (i, coloured) => `url(#${coloured ? "colour" : "grey"}-${i})`;

  function apply() {
    const now = visible();
    overviews.forEach((image, i) => {
      image.hidden = !now.includes(i);
      image.style.filter = filterOf(i, shown.composite);
    });
    drawTools();
    changed();
  }

  /** Load the overviews once they are to be seen. */
  function load() {
    for (const image of overviews) if (!image.hasAttribute("src")) image.src = image.dataset.file;
  }

  function drawTools() {
    const mode = (composite, words) =>
      make(
        "button",
        {
          type: "button",
          "aria-pressed": String(shown.composite === composite),
          on: {
            click: () => {
              shown.composite = composite;
              apply();
            },
          },
        },
        words,
      );
    const chips = channels.map((channel, i) => {
      const chip = make(
        "button",
        {
          type: "button",
          class: "chip",
          "aria-pressed": String(visible().includes(i)),
          on: { click: () => choose(i) },
        },
        dot(channel),
        channel.name,
      );
      return chip;
    });
    const sliders = visible().map((i) => contrast(i));
    fill(
      tools,
      make(
        "div",
        { class: "toolbar" },
        make(
          "div",
          { class: "segments", role: "group", "aria-label": "Channels together or alone" },
          mode(true, "Composite"),
          mode(false, "One channel"),
        ),
        make("div", { class: "chips", role: "group", "aria-label": "Channels" }, ...chips),
      ),
      make("div", { class: "contrasts" }, ...sliders),
    );
  }

  function choose(i) {
    if (!shown.composite) shown.single = i;
    else if (!shown.inComposite.delete(i)) shown.inComposite.add(i);
    apply();
  }

  function contrast(i) {
    const { low, high } = pictures.channels[i];
    const step = Math.max(1, Math.round((high - low) / 500));
    const text = make("output", {}, contrastText(limits[i]));
    const slider = (end, words) =>
      make("input", {
        type: "range",
        min: low,
        max: high,
        step,
        value: limits[i][end],
        "aria-label": `${channels[i].name}: ${words}`,
        dataset: { channel: channels[i].name, end: end ? "high" : "low" },
        on: {
          input: (event) => {
            const value = Number(event.target.value);
            limits[i][end] = end ? Math.max(value, limits[i][0] + step) : Math.min(value, limits[i][1] - step);
            event.target.value = limits[i][end];
            text.textContent = contrastText(limits[i]);
            setTone(i);
          },
        },
      });
    const reset = make(
      "button",
      {
        type: "button",
        class: "quiet",
        "aria-label": `Reset the contrast of ${channels[i].name}`,
        on: {
          click: () => {
            limits[i] = [low, high];
            setTone(i);
            drawTools();
          },
        },
      },
      "↺",
    );
    return make(
      "div",
      { class: "contrast" },
      make("span", { class: "contrast-name" }, dot(channels[i]), channels[i].name),
      make(
        "span",
        { class: "dual" },
        slider(0, "shown black, camera counts"),
        slider(1, "shown brightest, camera counts"),
      ),
      text,
      reset,
    );
  }

  /** Picture of a site in some channels, laid over each other; a box that keeps the tile's proportions. */
  function sitePicture(well, site, wanted, coloured) {
    const words = `${well.well} site ${site.label}, ${wanted.map((i) => channels[i].name).join(" + ")}`;
    const box = make("span", { class: "site-picture", role: "img", "aria-label": words });
    const cut = pictures.sheets.files.length ? cutFromSheet(well, site) : cutFromOverview(well, site);
    box.style.aspectRatio = cut ? cut.aspect : "1";
    for (const i of cut ? wanted : []) {
      if (site.missing.includes(channels[i].name)) continue;
      const { file, width, left, top } = cut.place(i);
      const image = make("img", { src: file, alt: "", draggable: "false" });
      image.style.width = `${width * 100}%`;
      image.style.left = `${-left * 100}%`;
      image.style.top = `${-top * 100}%`;
      const crop = make("span", { class: "crop" }, image);
      crop.style.filter = filterOf(i, coloured);
      box.append(crop);
    }
    return box;
  }

  /** Where a site's tiles lie in the sheets: width, left and top of the file in sides of a tile; null for no tile. */
  function cutFromSheet(well, site) {
    const { sheets } = pictures;
    const wellPlace = sheets.wells.indexOf(well.well);
    const sitePlace = sheets.sites.indexOf(site.site);
    if (wellPlace < 0 || sitePlace < 0) return null;
    const first = ((wellPlace % sheets.wells_per_file) * sheets.sites.length + sitePlace) * channels.length;
    const file = sheets.files[Math.floor(wellPlace / sheets.wells_per_file)];
    return {
      aspect: `${sheets.tile_width} / ${sheets.tile_height}`,
      place: (i) => ({
        file,
        width: sheets.across,
        left: (first + i) % sheets.across,
        top: Math.floor((first + i) / sheets.across),
      }),
    };
  }

  /** The same in the overview, for a plate that has no sheets yet; the rule of imaging/overview.py. */
  function cutFromOverview(well, site) {
    const { tile_px: tile, sheets } = pictures;
    const sitePlace = sheets.sites.indexOf(site.site);
    if (sitePlace < 0) return null;
    const across = Math.ceil(Math.sqrt(sheets.sites.length));
    const side = Math.floor(tile / across);
    const above = Math.floor((tile - side * Math.ceil(sheets.sites.length / across)) / 2);
    const top = well.row * tile + above + Math.floor(sitePlace / across) * side;
    const left = (well.column - 1) * tile + (sitePlace % across) * side;
    return {
      aspect: "1",
      place: (i) => ({
        file: pictures.channels[i].file,
        width: (pictures.columns * tile) / side,
        left: left / side,
        top: top / side,
      }),
    };
  }

  /** What was chosen here, by name: channels come in the same order, their limits move while a plate is imaged. */
  function keep() {
    const chosen = pictures.channels.map(({ low, high }, i) => (isChosen(limits[i], low, high) ? limits[i] : null));
    return { composite: shown.composite, single: shown.single, inComposite: [...shown.inComposite], limits: chosen };
  }

  function restore(kept) {
    shown.composite = kept.composite && channels.length > 1;
    if (channels[kept.single]) shown.single = kept.single;
    shown.inComposite = new Set(kept.inComposite.filter((i) => channels[i]));
    kept.limits.forEach((chosen, i) => {
      if (!chosen || !channels[i]) return;
      const { low, high } = pictures.channels[i];
      const [from, to] = chosen.map((value) => Math.min(high, Math.max(low, value)));
      if (from < to) limits[i] = [from, to];
      setTone(i);
    });
  }

  return { apply, load, visible, sitePicture, keep, restore, isComposite: () => shown.composite };
}

const isGrey = (color) => {
  const [red, green, blue] = channelsOf(color);
  return Math.max(red, green, blue) - Math.min(red, green, blue) < 24;
};

const isChosen = ([from, to], low, high) => from !== low || to !== high;

const contrastText = ([from, to]) => `${show(from)} – ${show(to)}`;

function dot(channel) {
  const mark = make("span", { class: "dot", "aria-hidden": "true" });
  mark.style.backgroundColor = channel.color;
  return mark;
}

/** A filter that stretches grey between two limits and, with a matrix, gives it a channel's colour. */
function toneFilter(id, matrix) {
  const stretch = draw(
    "feComponentTransfer",
    {},
    ...["R", "G", "B"].map((name) => draw(`feFunc${name}`, { type: "linear", slope: 1, intercept: 0 })),
  );
  const colour = matrix ? draw("feColorMatrix", { type: "matrix", values: matrix }) : null;
  return draw(
    "filter",
    { id, x: 0, y: 0, width: 1, height: 1, "color-interpolation-filters": "sRGB" },
    stretch,
    colour,
  );
}
