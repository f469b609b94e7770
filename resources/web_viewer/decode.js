// The page's data: base64 of gzip of arrays, as core/export/web_arrays.py writes them.

import { inflate } from "./inflate.js";

const KINDS = { i8: Int8Array, u8: Uint8Array, i16: Int16Array, u16: Uint16Array, i32: Int32Array, f32: Float32Array };

// Every array of a part by name, integers that stand for numbers already turned into them.
export async function readPart(part) {
  const bytes = await gunzip(fromBase64(document.getElementById(`part-${part.name}`).textContent.trim()));
  const arrays = {};
  let offset = 0;
  for (const described of part.arrays) {
    const values = gather(bytes, offset, described);
    offset += values.byteLength;
    if (described.differences) addUp(values, described.width);
    arrays[described.name] = described.step ? numbers(values, described) : values;
  }
  return arrays;
}

export function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const digit = new Uint8Array(128);
  [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"].forEach((c, i) => { digit[c.charCodeAt(0)] = i; });
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  for (let i = 0, at = 0; i < text.length; i += 4) {
    const four = (digit[text.charCodeAt(i)] << 18) | (digit[text.charCodeAt(i + 1)] << 12) |
      (digit[text.charCodeAt(i + 2)] << 6) | digit[text.charCodeAt(i + 3)];
    bytes[at++] = four >> 16;
    bytes[at++] = four >> 8; // beyond the end it is ignored
    bytes[at++] = four;
  }
  return bytes;
}

export async function gunzip(bytes) {
  if (typeof DecompressionStream !== "function") return inflate(bytes);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// An array whose bytes lie in planes, lowest bytes first.
function gather(bytes, offset, { kind, count, width }) {
  const values = new KINDS[kind](count * width), size = values.BYTES_PER_ELEMENT, raw = new Uint8Array(values.buffer);
  for (let plane = 0; plane < size; plane++) {
    const from = offset + plane * values.length;
    for (let i = 0; i < values.length; i++) raw[i * size + plane] = bytes[from + i];
  }
  return values;
}

function addUp(values, width) {
  for (let i = width; i < values.length; i++) values[i] += values[i - width];
}

function numbers(values, { width, low, step, exponential }) {
  const out = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) out[i] = low[i % width] + step[i % width] * values[i];
  return exponential ? out.map(Math.exp) : out;
}
