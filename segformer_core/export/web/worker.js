// Runs the network beside the page, which therefore never stands still.
import * as ort from "./onnxruntime-web/ort.wasm.bundle.min.mjs";
import { labelsOf, prepared } from "./fitting.js";

const NETWORK = "network.onnx";
const FORMAT = 1; // of a description that this page understands

ort.env.wasm.numThreads = 1; // more need headers (cross-origin isolation) that python -m http.server does not send
ort.env.wasm.wasmPaths = { wasm: new URL("./onnxruntime-web/ort-wasm-simd-threaded.wasm", import.meta.url).href };
ort.env.logLevel = "error";

async function fetched(name) {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) throw new Error(`${name}: ${answer.status} ${answer.statusText}`);
  return answer;
}

async function opened() {
  const about = await (await fetched(`${NETWORK}.json`)).json();
  if (about.format !== FORMAT) throw new Error(`${NETWORK}.json: format ${about.format}, not ${FORMAT}`);
  const file = new Uint8Array(await (await fetched(NETWORK)).arrayBuffer());
  const session = await ort.InferenceSession.create(file, { executionProviders: ["wasm"] });
  return { about, session };
}

async function labelled({ pixels, size }, { about, session }) {
  const started = performance.now();
  const { values, shape } = prepared(pixels, size, about);
  const before = performance.now();
  const outputs = await session.run({ [about.input.name]: new ort.Tensor(about.input.dtype, values, shape) });
  const after = performance.now();
  const output = outputs[about.output.name];
  const labels = labelsOf(output.data, output.dims, size, about);
  const pixelsOf = new Array(about.classes.length).fill(0);
  for (const label of labels) pixelsOf[label]++;
  const shares = pixelsOf.map((count) => count / labels.length);
  return { labels, shares, network: after - before, all: performance.now() - started };
}

const ready = opened();
ready.then(
  ({ about }) => postMessage({ about }),
  (error) => postMessage({ error: String(error) }),
);
onmessage = async ({ data }) => {
  try {
    const answer = await labelled(data, await ready);
    postMessage({ turn: data.turn, ...answer }, [answer.labels.buffer]);
  } catch (error) {
    postMessage({ turn: data.turn, error: String(error) });
  }
};
