// Pictures: the overview of the plate, and the pictures of one site cropped from the sheets. The files are 8-bit and
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
    const { sheets } = pictures;
    const wellPlace = sheets.wells.indexOf(well.well);
    const sitePlace = sheets.sites.indexOf(site.site);
    const words = `${well.well} site ${site.site}, ${wanted.map((i) => channels[i].name).join(" + ")}`;
    const box = make("span", { class: "site-picture", role: "img", "aria-label": words });
    box.style.aspectRatio = `${sheets.tile_width} / ${sheets.tile_height}`;
    if (wellPlace < 0 || sitePlace < 0) return box;
    for (const i of wanted) {
      if (site.missing.includes(channels[i].name)) continue;
      const tile = ((wellPlace % sheets.wells_per_file) * sheets.sites.length + sitePlace) * channels.length + i;
      const image = make("img", {
        src: sheets.files[Math.floor(wellPlace / sheets.wells_per_file)],
        alt: "",
        draggable: "false",
      });
      image.style.width = `${sheets.across * 100}%`;
      image.style.left = `${-(tile % sheets.across) * 100}%`;
      image.style.top = `${-Math.floor(tile / sheets.across) * 100}%`;
      const crop = make("span", { class: "crop" }, image);
      crop.style.filter = filterOf(i, coloured);
      box.append(crop);
    }
    return box;
  }

  return { apply, load, visible, sitePicture, isComposite: () => shown.composite };
}

const isGrey = (color) => {
  const [red, green, blue] = channelsOf(color);
  return Math.max(red, green, blue) - Math.min(red, green, blue) < 24;
};

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
