/**
 * Binary formats as trees of lengths and numbers, for fuzzing: the tree is right, and one place in it may be made wrong when
 * it becomes bytes. A length that is off by one inside three others is what a parser gets wrong, and what flipping random
 * bytes hardly ever makes.
 */
import fc from "fast-check";

/** Bytes of a length or number: big endian, or `v` for QUIC's variable-length form. */
export type Size = 1 | 2 | 3 | "v";

export type Node =
  | Uint8Array
  | readonly Node[]
  /** `of` behind its length in bytes. */
  | { size: Size; of: Node }
  /** A count or another number that the format's structure hangs on. */
  | { size: Size; number: number };

export interface Damage {
  /** Which length or number, in order of appearance. */
  at: number;
  delta: number;
}

export const prefixed = (size: Size, ...of: Node[]): Node => ({ size, of });
export const number = (size: Size, value: number): Node => ({ size, number: value });

/** The tree as bytes, with one of its lengths or numbers made wrong. */
export function render(node: Node, damage: Damage | null = null): Uint8Array<ArrayBuffer> {
  const out: number[] = [];
  let seen = 0;
  const places = damage === null ? 0 : countPlaces(node);
  const write = (size: Size, value: number) => {
    const isHere = damage !== null && seen++ === damage.at % Math.max(1, places);
    writeNumber(out, size, Math.max(0, isHere ? value + damage.delta : value));
  };
  const visit = (each: Node): void => {
    if (each instanceof Uint8Array) for (const byte of each) out.push(byte);
    else if (isList(each)) each.forEach(visit);
    else if ("number" in each) write(each.size, each.number);
    else {
      write(each.size, lengthOf(each.of));
      visit(each.of);
    }
  };
  visit(node);
  return Uint8Array.from(out);
}

/** Trees as bytes: as often right as damaged at one place. */
export function structured(tree: fc.Arbitrary<Node>): fc.Arbitrary<Uint8Array<ArrayBuffer>> {
  const delta = fc.oneof(fc.constantFrom(-1, 1, -2, 2), fc.integer({ min: -300, max: 300 }));
  const damage = fc.option(fc.record({ at: fc.nat(200), delta }), { freq: 2 });
  return fc.tuple(tree, damage).map(([each, wrong]) => render(each, wrong));
}

function isList(node: Node): node is readonly Node[] {
  return Array.isArray(node);
}

function countPlaces(node: Node): number {
  if (node instanceof Uint8Array) return 0;
  if (isList(node)) return node.reduce((sum: number, each) => sum + countPlaces(each), 0);
  return 1 + ("of" in node ? countPlaces(node.of) : 0);
}

function lengthOf(node: Node): number {
  if (node instanceof Uint8Array) return node.length;
  if (isList(node)) return node.reduce((sum: number, each) => sum + lengthOf(each), 0);
  if ("number" in node) return sizeOf(node.size, node.number);
  const inner = lengthOf(node.of);
  return sizeOf(node.size, inner) + inner;
}

function sizeOf(size: Size, value: number): number {
  return size !== "v" ? size : value < 64 ? 1 : value < 16384 ? 2 : 4;
}

function writeNumber(out: number[], size: Size, value: number): void {
  const bytes = sizeOf(size, value);
  const marked = size !== "v" ? value : value + (bytes === 2 ? 0x4000 : bytes === 4 ? 0x80000000 : 0);
  for (let i = bytes - 1; i >= 0; i--) out.push(Math.floor(marked / 2 ** (8 * i)) & 255);
}
