// Puts the page together: data, stage, controls, and the interface for scripts.

import { Clip } from "./clip.js";
import { readPart } from "./decode.js";
import { Face, finite } from "./expressions.js";
import { Unsupported } from "./gpu.js";
import { Orbit } from "./orbit.js";
import { People } from "./people.js";
import { Sharpness } from "./sharpness.js";
import { Stage } from "./stage.js";
import { Transport } from "./transport.js";

const BACKGROUNDS = ["gradient", "white", "transparent"];
const DEGREES = Math.PI / 180;
const LONGEST_STEP = 0.1; // seconds; a page that was out of sight does not leap

const page = JSON.parse(document.getElementById("page").textContent);
const $ = (id) => document.getElementById(id);
const canvas = $("view");
const calm = matchMedia("(prefers-reduced-motion: reduce)");
let dirty = true, lastTime = 0, shown = -1;
const redraw = () => { dirty = true; };

const sharpness = new Sharpness($("rate"), redraw);
const orbit = new Orbit(canvas, page.optics.distance, () => !calm.matches, redraw);
const face = new Face(page, $("sliders"), redraw);
const people = new People(page, $("people"), (index) => choose(index));
let transport = null, stage = null;

// ------------------------------------------------------------------------------------------------------------ picture

// What is to be seen now, for the stage; null when it is what was drawn last.
function compose() {
  const now = performance.now() / 1000, step = Math.min(now - lastTime, LONGEST_STEP);
  lastTime = now;
  const moving = orbit.step(step), live = face.given !== null;
  if (!live) transport.step(step);
  if (!dirty && !moving && (live || !transport.playing)) {
    sharpness.rest();
    return null;
  }
  dirty = false;
  const { psi, rotation, translation } = scene();
  return { psi, rotation, translation, view: { ...orbit.now, ...frame() } };
}

function scene() {
  const clip = face.given ? null : transport.now(shown);
  return { psi: face.psi(clip?.psi), rotation: face.given ? face.rotation || [0, 0, 0] : clip?.rotation || [0, 0, 0],
    translation: clip ? clip.translation : null };
}

// Size of the canvas in pixels, and the part of it that no panel covers.
function frame() {
  const box = canvas.getBoundingClientRect(), ratio = sharpness.ratio();
  const width = Math.max(1, Math.round(box.width * ratio)), height = Math.max(1, Math.round(box.height * ratio));
  const sheet = narrow() && !$("panel").hidden ? $("panel").offsetHeight : 0, above = narrow() ? $("about").offsetHeight : 0;
  const below = box.bottom - topOf($("bar")) + sheet, free = Math.max(box.height - above - below, box.height / 4);
  return { width, height, span: Math.min(1.25 * width, free * ratio), lift: ((below - above) / 2) * ratio };
}

const topOf = (element) => (element.offsetHeight ? element.getBoundingClientRect().top : innerHeight);
const narrow = () => innerWidth <= 640;

// ------------------------------------------------------------------------------------------------------------ actions

async function choose(index) {
  const count = page.people.length, wanted = ((index % count) + count) % count;
  people.mark(wanted);
  const { name } = page.people[wanted];
  $("who").textContent = name;
  canvas.setAttribute("aria-label", `${name}, a head in three dimensions. Drag it, or use Shift and the arrow keys, to turn it.`);
  try {
    if (!await stage.show(wanted)) return;
    shown = wanted;
    redraw();
  } catch (error) {
    fail(error);
  }
}

function setBackground(name) {
  document.documentElement.dataset.background = name;
  for (const button of document.querySelectorAll("#backgrounds button"))
    button.setAttribute("aria-checked", String(button.value === name));
}

function togglePanel(open = $("panel").hidden) {
  $("panel").hidden = !open;
  $("show-panel").setAttribute("aria-expanded", String(open));
  redraw();
}

function nextBackground() {
  const at = BACKGROUNDS.indexOf(document.documentElement.dataset.background);
  setBackground(BACKGROUNDS[(at + 1) % BACKGROUNDS.length]);
}

const TURNS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  const at = event.target, slides = at instanceof HTMLInputElement, turn = TURNS[event.key];
  if (event.key === " " && !(at instanceof HTMLButtonElement)) transport.toggle();
  else if (event.key === "e") togglePanel();
  else if (event.key === "b") nextBackground();
  else if (event.key === "r") orbit.reset();
  else if (event.key === "?") $("help").showModal();
  else if (event.key === "Escape" && !$("panel").hidden) togglePanel(false);
  else if (turn && event.shiftKey && !slides) orbit.turn(...turn.map((v) => v * 5 * DEGREES));
  else if (turn && turn[0] && !slides) choose(people.current + turn[0]);
  else return;
  event.preventDefault();
}

function connect() {
  $("show-panel").addEventListener("click", () => togglePanel());
  $("close-panel").addEventListener("click", () => { togglePanel(false); $("show-panel").focus(); });
  $("relax").addEventListener("click", () => face.relax());
  $("reset-view").addEventListener("click", () => orbit.reset());
  $("show-help").addEventListener("click", () => $("help").showModal());
  $("close-help").addEventListener("click", () => $("help").close());
  $("help").addEventListener("click", (event) => { if (event.target === $("help")) $("help").close(); });
  for (const button of document.querySelectorAll("#backgrounds button"))
    button.addEventListener("click", () => setBackground(button.value));
  addEventListener("keydown", onKey);
  new ResizeObserver(redraw).observe(canvas);
  addEventListener("resize", redraw);
  addEventListener("message", ({ data }) => {
    try {
      if (data?.type === "agora-psi") face.give(data.psi, data.rotation);
      else if (data?.type === "agora-scores") face.giveScores(data.scores, data.rotation);
    } catch (error) {
      console.warn(`agora: ${error.message}`);
    }
  });
}

// -------------------------------------------------------------------------------------------------------------- start

function say(message, failed = false) {
  $("cover").hidden = !message;
  $("cover").classList.toggle("failed", failed);
  $("notice").textContent = message;
}

function fail(error) {
  say(error instanceof Unsupported ? error.message : "The page's data cannot be read. Load the page again.", true);
  if (!(error instanceof Unsupported)) console.error(error);
}

async function start() {
  say("Loading…");
  document.title = $("title").textContent = page.title;
  setBackground(page.background);
  transport = new Transport(page.motion && new Clip(page.motion, await readPart(page.parts.motion)),
    { bar: $("transport"), button: $("play"), scrubber: $("scrubber"), time: $("time") }, redraw);
  stage = new Stage(canvas, page, compose, (milliseconds) => sharpness.saw(milliseconds));
  stage.onLost = () => say("The graphics device is away for a moment…");
  stage.onRestored = () => { say(""); redraw(); };
  stage.onFailed = fail;
  connect();
  await stage.build();
  await choose(0);
  say("");
  document.documentElement.classList.add("ready");
  if (page.autoplay && !calm.matches) transport.play();
  lastTime = performance.now() / 1000;
  stage.start();
}

const inRadians = ({ yaw, pitch, ...rest }) => ({ ...rest, ...(yaw === undefined ? {} : { yaw: yaw * DEGREES }),
  ...(pitch === undefined ? {} : { pitch: pitch * DEGREES }) });

// The interface for scripts; angles of views are degrees.
window.agora = {
  ready: start().then(() => true, (error) => { fail(error); return false; }),
  people: page.people.map(({ name }) => name),
  setPsi: (psi, rotation) => face.give(psi, rotation),
  setScores: (scores, rotation) => face.giveScores(scores, rotation),
  setIdentity: choose,
  setView: (view) => orbit.set(inRadians(view), true),
  setBackground,
  play: () => transport.play(),
  pause: () => transport.pause(),
  seek: (seconds) => transport.seek(seconds),
  // A picture of the person on the stage: premultiplied RGBA bytes, first row on top. Without psi: as on the page.
  renderOnce(psi, view = {}) {
    const now = scene(), { rotation = now.rotation, translation = now.translation, ...rest } = inRadians(view);
    return stage.picture({ psi: psi ? finite(psi, face.size, "psi") : now.psi, rotation, translation,
      view: { yaw: 0, pitch: 0, width: 256, height: 256, ...rest } });
  },
  get state() {
    return { identity: shown, playing: transport.playing, seconds: transport.seconds, live: face.given !== null,
      yaw: orbit.now.yaw / DEGREES, pitch: orbit.now.pitch / DEGREES, distance: orbit.now.distance,
      pictures: sharpness.pictures, width: canvas.width, height: canvas.height };
  },
};
