// Pictures of hits beside negative controls of the same plate, all in one contrast; they load when they are scrolled to.

const GALLERY_FIRST = 12;

/** One hit's picture and those of its controls. */
function pictureRow(report, row) {
  const shown = report.pictures.get(keyOf(row));
  if (!shown) return null;
  return make(
    "div",
    { class: "pictures" },
    tile(report, shown.plate, shown.tile, `${row.treatment} ${doseText(row)}`.trim(), "hit"),
    shown.controls.map((control) => tile(report, shown.plate, control, "negative control", "negcon")),
    shown.controls.length ? null : make("p", { class: "muted" }, "The plate has no picture of a negative control."),
  );
}

function tile(report, plate, { well, file }, words, kind) {
  const image = make("img", { src: file, alt: `${words}, ${plate} ${well}`, loading: "lazy", decoding: "async", draggable: "false" });
  return make(
    "figure",
    { class: "tile", dataset: { kind } },
    image,
    make("figcaption", {}, kind === "negcon" ? "− " : "", pageLink(report.pages.get(plate), `${plate} ${well}`, wellHash(well))),
  );
}

/** All hits that have pictures, a dozen first. */
function drawGallery(box, report, open) {
  if (!report.gallery.length) {
    const words = report.hits.some((row) => row.is_hit === true)
      ? "No hit has a picture: its images are not stored, or were made elsewhere."
      : "There is no hit to show.";
    fill(box, nothing(words));
    return;
  }
  let count = GALLERY_FIRST;
  const contrast = (hit) => hit.contrast.map(([channel, low, high]) => `${channel} ${show(low)} – ${show(high)}`).join(", ");
  const entry = (hit) => {
    const i = report.places.get(keyOf(hit));
    const row = report.hits[i] ?? hit;
    return make(
      "li",
      { class: "gallery-hit" },
      make("p", { class: "gallery-name" }, make("button", { type: "button", class: "link", on: { click: () => open(i) } }, row.treatment), make("span", { class: "muted" }, ` ${doseText(row)}`), positiveBadge(report, row)),
      pictureRow(report, row),
      make("p", { class: "contrast-text muted", title: "camera counts shown black and brightest, the same for all pictures of this plate" }, contrast(hit)),
    );
  };
  const redraw = () => {
    const left = report.gallery.length - count;
    fill(
      box,
      make("p", { class: "muted channels" }, "The first site of a well in ", report.channels.flatMap((channel, i) => [i ? ", " : "", dotOf(channel.color), ` ${channel.name}`]), "; pictures of one plate have the same contrast."),
      make("ul", { class: "gallery" }, report.gallery.slice(0, count).map(entry)),
      left > 0 ? make("button", { type: "button", class: "quiet", on: { click: () => { count = Infinity; redraw(); } } }, `Show ${show(left)} more`) : null,
    );
  };
  redraw();
}

function dotOf(color) {
  const mark = make("span", { class: "dot", "aria-hidden": "true" });
  mark.style.backgroundColor = color;
  return mark;
}
