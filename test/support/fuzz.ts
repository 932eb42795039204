/**
 * Time-boxed fuzzing beside the parsers. A target is one parser with its promises: inputs built by a grammar, inputs of the
 * corpus with a few places damaged, and a check that throws where a promise is broken. One time box a target: ten seconds,
 * or `SALLYPORT_FUZZ_SECONDS`. `test/fuzz.test.ts` holds which parser has which target.
 *
 * The corpus lies in `test/corpus/<target>/` and is replayed first. A file is named for the answer that its bytes must get
 * (`two_names.bin`, `two_names.unknown-type.bin`), and every answer that a target can give has a file, so the corpus is an
 * expectation and not only a heap of seeds. A failure prints the seed and the shrunk input: that input becomes a file. For a
 * new target, and for answers without a file, `SALLYPORT_FUZZ_COLLECT=1` writes the shortest input it meets for each.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";

export const fuzzSeconds = Number(process.env["SALLYPORT_FUZZ_SECONDS"] ?? 10);

const collecting = process.env["SALLYPORT_FUZZ_COLLECT"] === "1";
const longestCollected = 2048;

const corpusFolder = fileURLToPath(new URL("../corpus/", import.meta.url));

/** For random walks through models: a quarter of a parser's time for each property. */
export const fuzzing: fc.Parameters<unknown> = {
  numRuns: Number.MAX_SAFE_INTEGER,
  interruptAfterTimeLimit: fuzzSeconds * 250,
  markInterruptAsFailure: false,
};

/** A number from 0 to `below` - 1, the same for the same input: where to cut, which of two ways to go. */
export type Pick = (below: number) => number;

export interface Target<Outcome extends string> {
  /** As in `test/fuzz.test.ts`; the folder of its corpus. */
  name: string;
  /** Random inputs of the format's own structure, right ones and such with one place damaged. */
  grammar: readonly fc.Arbitrary<Uint8Array>[];
  /** Every answer there is; a record, so that the type checker asks for each. */
  outcomes: Record<Outcome, true>;
  /** Answers that only chance finds: allowed, and without a file. */
  rare?: readonly Outcome[];
  /** Reads the bytes and says what came of it; throws where a promise is broken. */
  check: (bytes: Uint8Array, pick: Pick) => Outcome | Promise<Outcome>;
  /** Inputs too large to be committed, for answers that only large ones get. */
  large?: Partial<Record<Outcome, Uint8Array>>;
}

export interface CorpusFile {
  name: string;
  /** The answer that the file is named for. */
  outcome: string;
  bytes: Uint8Array<ArrayBuffer>;
}

/** The committed inputs of a target, in order of name. */
export function corpusOf(target: string): CorpusFile[] {
  const folder = corpusFolder + target;
  if (collecting) mkdirSync(folder, { recursive: true });
  return readdirSync(folder)
    .toSorted()
    .map((name) => ({ name, outcome: name.split(".")[0]!, bytes: Uint8Array.from(readFileSync(`${folder}/${name}`)) }));
}

/** Registers a target's tests: its corpus, then random inputs until its time is over. */
export function fuzzTarget<Outcome extends string>(target: Target<Outcome>): void {
  const { name, grammar, outcomes, check } = target;
  describe(`${name} under fuzz`, () => {
    const built = Object.entries<Uint8Array | undefined>(target.large ?? {});
    const large = built.map(([outcome, bytes]) => ({ name: "(built)", outcome, bytes: Uint8Array.from(bytes!) }));
    const corpus = [...corpusOf(name), ...large];

    test("every input of the corpus gets the answer it is named for, and every answer has one", async () => {
      for (const { name: file, outcome, bytes } of corpus) {
        assert.equal(await check(bytes, pickFrom(bytes)), outcome, `test/corpus/${name}/${file}`);
      }
      const common = Object.keys(outcomes).filter((outcome) => !target.rare?.some((each) => each === outcome));
      const missing = common.filter((outcome) => !corpus.some((file) => file.outcome === outcome));
      assert.deepEqual(missing, [], "answers without a file");
    });

    test(`no promise is broken within ${fuzzSeconds} s`, async () => {
      const samples = grammar.flatMap((arbitrary) => fc.sample(arbitrary, 20));
      const seeds =
        corpus.length === 0 && collecting
          ? samples
          : corpus.map(({ bytes }) => bytes).filter(({ length }) => length <= longest);
      const found = new Map<string, Uint8Array>();
      const inputs = fc.oneof(...grammar, mutated(seeds), mutated([...seeds, ...samples]));
      let inputsRead = 0;
      await fc.assert(
        fc.asyncProperty(inputs, async (bytes) => {
          inputsRead++;
          const outcome = await check(bytes, pickFrom(bytes));
          if (collecting && bytes.length < (found.get(outcome)?.length ?? longestCollected)) found.set(outcome, bytes);
          assert.ok(outcome in outcomes || collecting, `an answer of no kind: ${outcome}`);
        }),
        {
          numRuns: Number.MAX_SAFE_INTEGER,
          interruptAfterTimeLimit: fuzzSeconds * 1000,
          markInterruptAsFailure: false,
        },
      );
      for (const { outcome } of corpus) found.delete(outcome);
      for (const [outcome, bytes] of found) writeFileSync(`${corpusFolder}${name}/${outcome}.bin`, bytes);
      assert.ok(inputsRead >= fuzzSeconds, `only ${inputsRead} inputs in ${fuzzSeconds} s`);
    });
  });
}

/** Xorshift, seeded by the input's digest. */
function pickFrom(bytes: Uint8Array): Pick {
  let state = createHash("sha1").update(bytes).digest().readUInt32LE(0) | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return below <= 1 ? 0 : (state >>> 0) % below;
  };
}

type Mutation =
  | { kind: "flip"; at: number; value: number }
  | { kind: "cut"; at: number; length: number }
  | { kind: "repeat"; at: number; length: number }
  | { kind: "insert"; at: number; bytes: Uint8Array }
  | { kind: "length"; at: number; delta: number }
  | { kind: "end"; at: number }
  | { kind: "splice"; at: number; bytes: Uint8Array; from: number };

const where = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

function mutation(seeds: readonly Uint8Array[]): fc.Arbitrary<Mutation> {
  return fc.oneof(
    fc.record({ kind: fc.constant("flip" as const), at: where, value: fc.integer({ min: 0, max: 255 }) }),
    fc.record({ kind: fc.constant("cut" as const), at: where, length: fc.integer({ min: 1, max: 64 }) }),
    fc.record({ kind: fc.constant("repeat" as const), at: where, length: fc.integer({ min: 1, max: 64 }) }),
    fc.record({ kind: fc.constant("insert" as const), at: where, bytes: fc.uint8Array({ maxLength: 16 }) }),
    fc.record({ kind: fc.constant("length" as const), at: where, delta: fc.integer({ min: -4, max: 4 }) }),
    fc.record({ kind: fc.constant("end" as const), at: where }),
    fc.record({
      kind: fc.constant("splice" as const),
      at: where,
      bytes: fc.constantFrom(...seeds),
      from: where,
    }),
  );
}

const longest = 70_000;

/** One of the seeds with a few bytes changed, cut out, repeated, put in, off by a little, or those of another seed. */
export function mutated(seeds: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const changes = fc.array(mutation(seeds), { maxLength: 6 });
  return fc.tuple(fc.constantFrom(...seeds), changes).map(([seed, mutations]) => {
    let bytes = [...seed];
    for (const change of mutations) {
      const at = Math.floor(change.at * (bytes.length + 1));
      if (change.kind === "flip") bytes[at % Math.max(1, bytes.length)] = change.value;
      else if (change.kind === "cut") bytes.splice(at, change.length);
      else if (change.kind === "repeat") bytes.splice(at, 0, ...bytes.slice(at, at + change.length));
      else if (change.kind === "insert") bytes.splice(at, 0, ...change.bytes);
      else if (change.kind === "end") bytes.length = at;
      else if (change.kind === "splice") {
        const from = Math.floor(change.from * change.bytes.length);
        bytes = [...bytes.slice(0, at), ...change.bytes.subarray(from)];
      } else if (at < bytes.length) bytes[at] = (bytes[at]! + change.delta) & 0xff;
      if (bytes.length > longest) bytes.length = longest;
    }
    return Uint8Array.from(bytes);
  });
}

/** Text inputs as bytes; {@link textOf} undoes it for every string of well-formed UTF-16. */
export const asBytes = (text: fc.Arbitrary<string>): fc.Arbitrary<Uint8Array> =>
  text.map((each) => Uint8Array.from(Buffer.from(each)));

export const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("utf8");

/** `bytes` cut at up to `most` places into pieces, some of them empty. */
export function pieces(bytes: Uint8Array, pick: Pick, most: number): Uint8Array[] {
  const cuts = Array.from({ length: pick(most + 1) }, () => pick(bytes.length + 1)).toSorted((a, b) => a - b);
  const edges = [0, ...cuts, bytes.length];
  return edges.slice(1).map((to, i) => bytes.subarray(edges[i], to));
}
