// The table of plates, read again every few seconds. Text of plates enters the page as text and never as HTML.

"use strict";

const EVERY_MS = 5000;
const STATES = {
  imaging: ["being imaged", "live"],
  publishable: ["about to be published", "live"],
  published: ["published", "pass"],
  withdrawn: ["withdrawn", "warn"],
  "at fault": ["at fault", "fail"],
};
const FILTERS = [
  ["all", () => true],
  ["being imaged", (plate) => plate.state === "imaging" || plate.state === "publishable"],
  ["published", (plate) => plate.state === "published"],
  ["with remarks", (plate) => remarksOf(plate).length > 0],
];

const byId = (id) => document.getElementById(id);
let plates = null;
let chosen = 0;

/** Make an element; strings become text. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children.flat());
  return element;
}

const show = (number) => number.toLocaleString("en");

/** Address of a key of the store on this server. */
const addressOf = (key) => `/${key.split("/").map(encodeURIComponent).join("/")}`;

function remarksOf(plate) {
  const counted = (number, one, several) => (number ? [`${show(number)} ${number === 1 ? one : several}`] : []);
  return [
    ...(plate.problem ? [plate.problem] : []),
    ...(plate.refusal ? [plate.refusal] : []),
    ...(plate.shown_instead ? [`Views show another acquisition, ${plate.shown_instead}.`] : []),
    ...(plate.suspicions ?? []),
    ...counted(plate.sites_failed, "site could not be processed.", "sites could not be processed."),
    ...counted(plate.files_faulted, "file cannot be read.", "files cannot be read."),
    ...counted(plate.files_unknown, "file is no image of the plate.", "files are no images of the plate."),
    ...counted(plate.images_missing, "image is missing.", "images are missing."),
  ];
}

function stateOf(plate) {
  const [words, kind] = STATES[plate.state] ?? [plate.state, ""];
  if (plate.state === "published" && plate.status === "with-missing") return ["published, with missing images", "warn"];
  if (plate.state === "imaging" && !plate.is_followed) return ["waiting for images or a run", "live"];
  return [words, kind];
}

function amount(done, expected) {
  if (expected === undefined) return make("td", { class: "number" }, "–");
  const cell = make("td", { class: "number" }, `${show(done)} of ${show(expected)}`);
  if (done < expected) cell.append(make("progress", { value: done, max: expected, "aria-hidden": "true" }));
  return cell;
}

/** Name of the experiment, which leads to its page where it has one. */
function experimentOf(plate) {
  if (!plate.experiment_page) return plate.experiment;
  return make("a", { href: addressOf(plate.experiment_page.replace(/index\.html$/, "")) }, plate.experiment);
}

function rowOf(plate) {
  const [words, kind] = stateOf(plate);
  const links = [];
  if (plate.page) links.push(make("a", { href: addressOf(plate.page.replace(/index\.html$/, "")) }, "page"));
  if (plate.images) links.push(make("a", { href: `${addressOf(plate.images)}/zarr.json` }, "images"));
  return make(
    "tr",
    {},
    make("th", { scope: "row" }, plate.plate, plate.recipe ? make("span", { class: "recipe" }, `recipe ${plate.recipe}`) : ""),
    make("td", { class: "experiment" }, experimentOf(plate)),
    make("td", {}, make("span", { class: "badge", "data-kind": kind }, words)),
    amount(plate.images_arrived, plate.images_expected),
    amount(plate.sites_done, plate.sites_expected),
    make("td", { class: "links" }, ...links),
    make("td", { class: "remarks" }, remarksOf(plate).map((text) => make("p", {}, text[0].toUpperCase() + text.slice(1)))),
  );
}

function draw() {
  if (plates === null) return;
  const asked = byId("find").value.trim().toLowerCase();
  const isAsked = (plate) => `${plate.plate}\n${plate.experiment}`.toLowerCase().includes(asked);
  const shown = plates.filter((plate) => FILTERS[chosen][1](plate) && isAsked(plate));
  byId("plates").replaceChildren(...shown.map(rowOf));
  byId("none").hidden = shown.length > 0;
  byId("none").textContent = plates.length
    ? "No plate is like that."
    : "There is no plate yet: images belong into raw/EXPERIMENT/PLATE/ of the store.";
  const count = (keep) => plates.filter(keep).length;
  const counts = FILTERS.map(([name, keep]) => [name === "all" ? "plates" : name, count(keep)]);
  byId("counts").replaceChildren(
    ...counts.map(([name, number]) => make("div", {}, make("dt", {}, name), make("dd", {}, show(number)))),
  );
}

function drawFilters() {
  const buttons = FILTERS.map(([name], place) => {
    const button = make("button", { type: "button", "aria-pressed": place === chosen }, name);
    button.addEventListener("click", () => {
      chosen = place;
      buttons.forEach((other, i) => other.setAttribute("aria-pressed", String(i === chosen)));
      draw();
    });
    return button;
  });
  byId("states").replaceChildren(...buttons);
}

function say(problem) {
  byId("problem").textContent = problem;
  byId("problem").hidden = !problem;
}

async function read() {
  try {
    const answer = await fetch("/status.json", { headers: { accept: "application/json" } });
    if (answer.status === 401) {
      location.reload(); // the server asks for the token again
      return;
    }
    const look = await answer.json();
    say(look.problem);
    if (look.made_at) {
      plates = look.plates;
      const time = new Date(look.made_at * 1000).toLocaleTimeString("en-GB");
      byId("freshness").textContent = `as of ${time}`;
    }
    draw();
  } catch {
    say("The server does not answer. This page shows what it knew last, and asks again.");
  }
}

async function keepReading() {
  if (!document.hidden) await read();
  setTimeout(keepReading, EVERY_MS);
}

drawFilters();
byId("find").addEventListener("input", draw);
document.addEventListener("visibilitychange", () => document.hidden || read());
byId("leave").hidden = !document.body.hasAttribute("data-token");
keepReading();
