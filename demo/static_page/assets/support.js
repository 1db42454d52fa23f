// Whether this browser can run the page at all.

// A module of one function that needs WebAssembly's SIMD, as ONNX Runtime Web does: i8x16.splat and i8x16.popcnt.
const SIMD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

/** Tells whether the browser has what the model and its worker need. */
export const isSupported = () =>
  typeof WebAssembly === "object" &&
  WebAssembly.validate(SIMD) &&
  typeof OffscreenCanvas === "function" &&
  typeof DecompressionStream === "function";
