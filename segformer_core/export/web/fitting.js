// An image of any size becomes the file's input, and the file's output the image's labels. All numbers are the sidecar's.
// OpenCV's resize is repeated to the bit: with other rounding some labels are others.

// (height, width) of an image -> those at which the file sees it.
export function fittedSize([height, width], fit) {
  const base = fit.base_size, frame = fit.frame;
  let scale = Math.min(Math.max(...base) / Math.max(height, width), Math.min(...base) / Math.min(height, width));
  if (frame) scale = Math.min(scale, frame[0] / height, frame[1] / width);
  return [height, width].map((length, axis) => {
    const side = Math.max(Math.floor(length * scale + 0.5), fit.least);
    const rounded = Math.ceil(side / fit.multiple) * fit.multiple;
    return frame ? Math.min(rounded, frame[axis]) : rounded;
  });
}

// Of one axis: for each place of the output the two places of the input that it lies between, and the second one's share.
function axis(from, to) {
  const low = new Int32Array(to), high = new Int32Array(to), share = new Float32Array(to);
  for (let place = 0; place < to; place++) {
    const centre = Math.fround((place + 0.5) * (from / to) - 0.5);
    const below = Math.floor(centre);
    low[place] = Math.min(Math.max(below, 0), from - 1);
    high[place] = Math.min(Math.max(below + 1, 0), from - 1);
    share[place] = centre - below;
  }
  return { low, high, share };
}

function halfToEven(value) {
  const down = Math.floor(value), rest = value - down;
  return rest > 0.5 || (rest === 0.5 && down % 2) ? down + 1 : down;
}

// Shares as OpenCV has them for bytes: in steps of 1/2048.
const weights = ({ share }) => ({
  first: Int32Array.from(share, (value) => halfToEven(Math.fround(1 - value) * 2048)),
  second: Int32Array.from(share, (value) => halfToEven(value * 2048)),
});

// RGBA pixels of (height, width) -> RGB pixels of another size, bilinear; the sums of rows are shortened by 4 and by 16 bits.
export function resized(pixels, [height, width], [newHeight, newWidth]) {
  const rows = axis(height, newHeight), columns = axis(width, newWidth);
  const down = weights(rows), across = weights(columns);
  const result = new Uint8Array(newHeight * newWidth * 3);
  for (let y = 0, place = 0; y < newHeight; y++) {
    const above = rows.low[y] * width * 4, below = rows.high[y] * width * 4;
    for (let x = 0; x < newWidth; x++) {
      const left = columns.low[x] * 4, right = columns.high[x] * 4, first = across.first[x], second = across.second[x];
      for (let c = 0; c < 3; c++, place++) {
        const upper = (pixels[above + left + c] * first + pixels[above + right + c] * second) >> 4;
        const lower = (pixels[below + left + c] * first + pixels[below + right + c] * second) >> 4;
        result[place] = (((down.first[y] * upper) >> 16) + ((down.second[y] * lower) >> 16) + 2) >> 2;
      }
    }
  }
  return result;
}

// RGBA pixels of (height, width) -> the file's input: its values, float32 or uint8, and its shape.
export function prepared(pixels, size, about) {
  const { input: takes, fit, form } = about;
  const [height, width] = fittedSize(size, fit);
  const [tall, wide] = fit.frame ?? [height, width];
  const seen = resized(pixels, size, [height, width]);
  const planes = takes.layout === "NCHW";
  const values = new (takes.dtype === "uint8" ? Uint8Array : Float32Array)(3 * tall * wide);
  for (let c = 0; c < 3; c++) {
    const start = planes ? c * tall * wide : c, step = planes ? 1 : 3;
    const become = Float32Array.from({ length: 256 }, (_, value) => {
      const centred = Math.fround(value - Math.fround(takes.mean[c]));
      return form.preprocess ? value : centred / Math.fround(takes.std[c]);
    });
    for (let place = 0; place < tall * wide; place++) values[start + place * step] = fit.padding[c];
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) values[start + (y * wide + x) * step] = become[seen[(y * width + x) * 3 + c]];
  }
  return { values, shape: planes ? [1, 3, tall, wide] : [1, tall, wide, 3] };
}

// The file's output, its shape, and (height, width) of the image -> its labels, row by row.
export function labelsOf(output, shape, size, about) {
  const { stride, arg_max: argMax } = about.labels;
  const part = fittedSize(size, about.fit).map((side) => Math.ceil(side / stride));
  return argMax ? ofLogits(output, shape, part, size) : ofLabels(output, shape, part, size);
}

// (1, h, w) labels, by nearest neighbour.
function ofLabels(output, shape, [height, width], [newHeight, newWidth]) {
  const down = 1 / (newHeight / height), across = 1 / (newWidth / width);
  const labels = new Uint8Array(newHeight * newWidth);
  for (let y = 0, place = 0; y < newHeight; y++) {
    const start = Math.min(Math.floor(y * down), height - 1) * shape[2];
    for (let x = 0; x < newWidth; x++, place++) labels[place] = output[start + Math.min(Math.floor(x * across), width - 1)];
  }
  return labels;
}

// (1, K, h, w) logits: resized bilinearly, then the class of the largest; of equal ones the first.
function ofLogits(output, shape, [height, width], [newHeight, newWidth]) {
  const [, classes, tall, wide] = shape;
  const rows = axis(height, newHeight), columns = axis(width, newWidth);
  const labels = new Uint8Array(newHeight * newWidth), best = new Float32Array(newWidth);
  const held = [-1, -1], widened = held.map(() => new Float32Array(classes * newWidth));
  // A row of the logits in all columns of the image. The two that an image's row lies between are neighbours: each has a place.
  const inAllColumns = (row) => {
    const values = widened[row % 2];
    if (held[row % 2] === row) return values;
    held[row % 2] = row;
    for (let k = 0, place = 0; k < classes; k++) {
      const start = (k * tall + row) * wide;
      for (let x = 0; x < newWidth; x++, place++) {
        const share = columns.share[x];
        values[place] = output[start + columns.low[x]] * (1 - share) + output[start + columns.high[x]] * share;
      }
    }
    return values;
  };
  for (let y = 0; y < newHeight; y++) {
    const above = inAllColumns(rows.low[y]), below = inAllColumns(rows.high[y]), share = rows.share[y], start = y * newWidth;
    for (let k = 0, place = 0; k < classes; k++)
      for (let x = 0; x < newWidth; x++, place++) {
        const score = Math.fround(above[place] * (1 - share) + below[place] * share);
        if (k === 0 || score > best[x]) {
          best[x] = score;
          labels[start + x] = k;
        }
      }
  }
  return labels;
}
