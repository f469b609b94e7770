// RFC 1951 and 1952 in a few lines, for browsers without DecompressionStream.

const LENGTH_BASE = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163,
  195, 227, 258];
const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const REACH_BASE = [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
  6145, 8193, 12289, 16385, 24577];
const REACH_BITS = [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];
const CODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const LONGEST_CODE = 15;

// A table of 2^15 entries: the next 15 bits of the stream give (symbol << 4) | length of its code.
function codeTable(lengths) {
  const first = new Uint16Array(LONGEST_CODE + 2);
  const counts = new Uint16Array(LONGEST_CODE + 1);
  for (const length of lengths) if (length) counts[length]++;
  for (let bits = 1; bits <= LONGEST_CODE; bits++) first[bits + 1] = (first[bits] + counts[bits]) << 1;
  const table = new Uint16Array(1 << LONGEST_CODE);
  lengths.forEach((length, symbol) => {
    if (!length) return;
    let code = first[length]++, reversed = 0;
    for (let i = 0; i < length; i++, code >>= 1) reversed = (reversed << 1) | (code & 1);
    for (let i = reversed; i < table.length; i += 1 << length) table[i] = (symbol << 4) | length;
  });
  return table;
}

function fixedTables() {
  const lengths = Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8));
  return [codeTable(lengths), codeTable(new Array(30).fill(5))];
}

class BitReader {
  constructor(bytes, at) {
    this.bytes = bytes;
    this.at = at;
    this.held = 0;
    this.count = 0;
  }

  fill(wanted) {
    while (this.count < wanted) {
      this.held |= (this.at < this.bytes.length ? this.bytes[this.at] : 0) << this.count;
      this.at++;
      this.count += 8;
    }
  }

  take(bits) {
    if (!bits) return 0;
    this.fill(bits);
    const value = this.held & ((1 << bits) - 1);
    this.held >>>= bits;
    this.count -= bits;
    return value;
  }

  symbol(table) {
    this.fill(LONGEST_CODE);
    const entry = table[this.held & (table.length - 1)];
    if (!entry) throw new Error("the page's data are damaged");
    this.held >>>= entry & 15;
    this.count -= entry & 15;
    return entry >> 4;
  }

  alignToByte() {
    this.at -= this.count >> 3;
    this.held = this.count = 0;
  }
}

function dynamicTables(reader) {
  const symbols = reader.take(5) + 257, reaches = reader.take(5) + 1, codes = reader.take(4) + 4;
  const codeLengths = new Array(19).fill(0);
  for (let i = 0; i < codes; i++) codeLengths[CODE_ORDER[i]] = reader.take(3);
  const table = codeTable(codeLengths), lengths = [];
  while (lengths.length < symbols + reaches) {
    const symbol = reader.symbol(table);
    if (symbol < 16) lengths.push(symbol);
    else {
      const value = symbol === 16 ? lengths[lengths.length - 1] : 0;
      const times = symbol === 16 ? 3 + reader.take(2) : symbol === 17 ? 3 + reader.take(3) : 11 + reader.take(7);
      for (let i = 0; i < times; i++) lengths.push(value);
    }
  }
  return [codeTable(lengths.slice(0, symbols)), codeTable(lengths.slice(symbols))];
}

function copyBlock(reader, [symbols, reaches], out, position) {
  for (;;) {
    const symbol = reader.symbol(symbols);
    if (symbol < 256) out[position++] = symbol;
    else if (symbol === 256) return position;
    else {
      const length = LENGTH_BASE[symbol - 257] + reader.take(LENGTH_BITS[symbol - 257]);
      const code = reader.symbol(reaches), reach = REACH_BASE[code] + reader.take(REACH_BITS[code]);
      for (const end = position + length; position < end; position++) out[position] = out[position - reach];
    }
  }
}

// The content of a gzip stream without optional header fields.
export function inflate(bytes) {
  const tail = new DataView(bytes.buffer, bytes.byteOffset + bytes.length - 4, 4);
  const out = new Uint8Array(tail.getUint32(0, true)), reader = new BitReader(bytes, 10);
  let position = 0, last = 0;
  while (!last) {
    last = reader.take(1);
    const kind = reader.take(2);
    if (kind === 0) {
      reader.alignToByte();
      const length = bytes[reader.at] | (bytes[reader.at + 1] << 8);
      out.set(bytes.subarray(reader.at + 4, reader.at + 4 + length), position);
      reader.at += 4 + length;
      position += length;
    } else position = copyBlock(reader, kind === 1 ? fixedTables() : dynamicTables(reader), out, position);
  }
  return out;
}
