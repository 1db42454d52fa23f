// What training pictures look like to the model: the numbers of model_folder/reference_features.py, which a test
// compares.

// Shown of those that decide.
const MOST = 3;
// A float16 number by its bits: browsers of 2023 have no array of them.
const HALVES = Float32Array.from({ length: 2 ** 16 }, (_, bits) => {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : (fraction / 1024) * 2 ** -14);
});

/**
 * Reads what demo/static_page/site.py writes: the `features` of `count` pictures, `width` of each, and `nearestTo`.
 *
 * That takes a picture's features and tells whether the mean cosine distance to the `k` nearest training pictures makes
 * it out of distribution (`ood`), and the nearest three as `neighbours`: name of the dance, distance, and, where they
 * may be shown, credit, url and a small copy as a Blob, `jpeg`, else null. Where the model folder has no pictures, it tells
 * of none.
 */
export function readReference(content, { k, threshold }) {
  const begin = 8 + Number(new DataView(content.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(content.subarray(8, begin)));
  const bytesOf = ({ data_offsets: [from, to] }) => content.slice(begin + from, begin + to);
  const [count, width] = header.features.shape;
  const features = Float32Array.from(new Uint16Array(bytesOf(header.features).buffer), (bits) => HALVES[bits]);
  const jpegs = bytesOf(header.jpegs);
  let end = 0;
  const pictures = JSON.parse(header.__metadata__.pictures).map(({ bytes, ...told }) => {
    end += bytes;
    return { ...told, jpeg: bytes ? new Blob([jpegs.subarray(end - bytes, end)], { type: "image/jpeg" }) : null };
  });

  const nearestTo = (seen) => {
    if (seen.length !== width) throw new Error(`${seen.length} features, but ${width} in the reference`);
    const length = Math.sqrt(seen.reduce((sum, value) => sum + value * value, 0)) || 1;
    const distances = Array.from({ length: count }, (_, row) => {
      let product = 0;
      for (let at = 0; at < width; at++) product += features[row * width + at] * seen[at];
      return 1 - product / length;
    });
    const rows = Array.from(distances.keys()).sort((a, b) => distances[a] - distances[b]).slice(0, k);
    const mean = rows.reduce((sum, row) => sum + distances[row], 0) / k;
    const shown = pictures.length ? rows.slice(0, MOST) : [];
    return {
      ood: threshold !== null && mean > threshold,
      neighbours: shown.map((row) => ({ ...pictures[row], distance: distances[row] })),
    };
  };
  return { features, count, width, nearestTo };
}
