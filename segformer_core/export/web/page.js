// The page: an image comes from a file, a drop or the camera, goes to the worker, and is shown under its labels.
import { language, texts } from "./texts.js";

const element = (name) => document.getElementById(name);
const [stage, image, overlay, pointed, status] = ["stage", "image", "labels", "pointed", "status"].map(element);
const worker = new Worker("worker.js", { type: "module" });

let classes = []; // name and RGB colour of each, by index
let labels = null; // of the image that is shown, row by row
let camera = null; // its stream while it runs
let turn = 0; // of the image that was asked for last
const waiting = new Map(); // turn -> what to call with the worker's answer, and with its error

function translate() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const part of document.querySelectorAll("[data-text]")) part.textContent = texts[part.dataset.text];
  element("unserved").remove();
  document.querySelector("main").hidden = false;
  tell(texts.loading);
}

function tell(text, wrong = false) {
  status.textContent = text;
  status.classList.toggle("wrong", wrong);
}

// Colours of classes that have none: the hues are far from one another.
function madeColour(index) {
  const hue = (index * 137.508) % 360;
  return [0, 8, 4].map((shift) => {
    const position = (shift + hue / 30) % 12;
    return Math.round(255 * (0.5 - 0.4 * Math.max(-1, Math.min(position - 3, 9 - position, 1))));
  });
}

function introduce(about) {
  const [height, width] = about.fit.frame ?? about.fit.base_size;
  const facts = [about.weights.network, about.form.precision, texts.size(height, width, !about.fit.frame)];
  element("about").textContent = facts.filter(Boolean).join(" · ");
  classes = about.classes.map(({ index, name, colour }) => ({
    name: name ?? texts.unnamed(index),
    colour: colour ?? madeColour(index),
  }));
  list(classes.map(() => 0));
  tell(texts.ready);
}

// The legend: classes that the image has, the largest first; before there is an image, all.
function list(shares) {
  const any = shares.some(Boolean);
  const order = shares.map((share, index) => ({ share, index })).filter(({ share }) => share || !any);
  if (any) order.sort((one, other) => other.share - one.share);
  const rows = order.map(({ share, index }) => {
    const row = document.createElement("li"), swatch = document.createElement("i");
    const name = document.createElement("span"), figure = document.createElement("b");
    swatch.style.backgroundColor = `rgb(${classes[index].colour.join(" ")})`;
    name.textContent = classes[index].name;
    figure.textContent = any ? `${(100 * share).toFixed(1)}%` : "";
    row.append(swatch, name, figure);
    return row;
  });
  element("legend").replaceChildren(...rows);
}

function paint({ width, height }) {
  const picture = new ImageData(width, height);
  const colours = Uint32Array.from(classes, ({ colour: [r, g, b] }) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0);
  const pixels = new Uint32Array(picture.data.buffer);
  for (let place = 0; place < labels.length; place++) pixels[place] = colours[labels[place]];
  overlay.width = width;
  overlay.height = height;
  overlay.getContext("2d").putImageData(picture, 0, 0);
}

// The worker's labels for RGBA pixels, which are handed over.
function labelled(mine, pixels, size) {
  return new Promise((resolve, reject) => {
    waiting.set(mine, { resolve, reject });
    worker.postMessage({ turn: mine, pixels, size }, [pixels.buffer]);
  });
}

// Labels what `source` shows and shows it with them; a camera's frame is shown only then. An answer that comes after another
// image was asked for, or after the camera has stopped, is left out.
async function label(mine, source, width, height) {
  const stream = camera;
  const drawn = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true, alpha: false });
  drawn.drawImage(source, 0, 0);
  const { data: pixels } = drawn.getImageData(0, 0, width, height);
  if (!stream) {
    show(drawn.canvas);
    tell(texts.working);
  }
  const answer = await labelled(mine, pixels, [height, width]);
  if (mine !== turn || stream !== camera) return;
  if (stream) show(drawn.canvas);
  labels = answer.labels;
  paint(image);
  list(answer.shares);
  tell(texts.time(Math.round(answer.all), Math.round(answer.network)));
}

function show(canvas) {
  stage.classList.remove("empty");
  labels = null;
  [image.width, image.height, overlay.width, overlay.height] = [canvas.width, canvas.height, 0, 0];
  image.getContext("2d").drawImage(canvas, 0, 0);
  image.setAttribute("aria-label", texts.image(canvas.height, canvas.width));
  pointed.hidden = true;
}

async function open(file) {
  stopCamera();
  if (!file) return tell(texts.nothing, true);
  const mine = ++turn;
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", imageOrientation: "from-image" });
  } catch {
    return tell(texts.unreadable(file.name), true);
  }
  try {
    if (mine === turn) await label(mine, bitmap, bitmap.width, bitmap.height);
  } catch (error) {
    tell(texts.broken(error), true);
  } finally {
    bitmap.close();
  }
}

function stopCamera() {
  for (const track of camera?.getTracks() ?? []) track.stop();
  camera = null;
  element("camera").textContent = texts.camera;
}

async function startCamera() {
  const video = document.createElement("video");
  try {
    camera = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    video.srcObject = camera;
    video.muted = true;
    await video.play();
  } catch (error) {
    stopCamera();
    return tell(texts.noCamera(error), true);
  }
  element("camera").textContent = texts.stop;
  const stream = camera;
  try {
    while (camera === stream) await label(++turn, video, video.videoWidth, video.videoHeight);
  } catch (error) {
    stopCamera();
    tell(texts.broken(error), true);
  }
}

// The class under the pointer, beside it.
function point(event) {
  const box = image.getBoundingClientRect();
  const x = Math.floor(((event.clientX - box.left) / box.width) * image.width);
  const y = Math.floor(((event.clientY - box.top) / box.height) * image.height);
  const inside = labels && x >= 0 && y >= 0 && x < image.width && y < image.height;
  pointed.hidden = !inside;
  if (!inside) return;
  pointed.textContent = classes[labels[y * image.width + x]].name;
  const place = stage.getBoundingClientRect();
  pointed.style.left = `${event.clientX - place.left}px`;
  pointed.style.top = `${event.clientY - place.top}px`;
  pointed.classList.toggle("leftwards", event.clientX > place.left + place.width / 2);
}

translate();
worker.onmessage = ({ data }) => {
  if (data.about) return introduce(data.about);
  if (data.turn === undefined) return tell(texts.broken(data.error), true);
  const { resolve, reject } = waiting.get(data.turn);
  waiting.delete(data.turn);
  data.error ? reject(data.error) : resolve(data);
};
worker.onerror = (event) => tell(texts.broken(event.message ?? "worker.js"), true);

const slide = () => (overlay.style.opacity = element("opacity").value / 100);
element("opacity").addEventListener("input", slide);
addEventListener("pageshow", slide); // who comes back finds the slider where it stood
element("file").addEventListener("change", ({ target }) => {
  if (target.files.length) open(target.files[0]);
  target.value = ""; // so that the same file can be chosen again
});
element("camera").addEventListener("click", () => (camera ? stopCamera() : startCamera()));
for (const kind of ["pointermove", "pointerdown"]) stage.addEventListener(kind, point);
stage.addEventListener("pointerleave", () => (pointed.hidden = true));
addEventListener("dragover", (event) => {
  event.preventDefault();
  stage.classList.add("over");
});
addEventListener("dragleave", () => stage.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  stage.classList.remove("over");
  open(event.dataTransfer.files[0]);
});
