/**
 * Time-boxed property fuzzing beside the parsers: two seconds a property, or as many as `SALLYPORT_FUZZ_SECONDS` says.
 * A failure prints the seed and the shrunk input; add that input to the unit tests beside the parser.
 */
import fc from "fast-check";

const seconds = Number(process.env["SALLYPORT_FUZZ_SECONDS"] ?? 2);

/** Runs until the time is over, not for a number of runs. */
export const fuzzing: fc.Parameters<unknown> = {
  numRuns: Number.MAX_SAFE_INTEGER,
  interruptAfterTimeLimit: seconds * 1000,
  markInterruptAsFailure: false,
};

type Mutation =
  | { kind: "flip"; at: number; value: number }
  | { kind: "cut"; at: number; length: number }
  | { kind: "repeat"; at: number; length: number }
  | { kind: "insert"; at: number; bytes: Uint8Array }
  | { kind: "length"; at: number; delta: number };

const where = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ kind: fc.constant("flip" as const), at: where, value: fc.integer({ min: 0, max: 255 }) }),
  fc.record({ kind: fc.constant("cut" as const), at: where, length: fc.integer({ min: 1, max: 64 }) }),
  fc.record({ kind: fc.constant("repeat" as const), at: where, length: fc.integer({ min: 1, max: 64 }) }),
  fc.record({ kind: fc.constant("insert" as const), at: where, bytes: fc.uint8Array({ maxLength: 16 }) }),
  fc.record({ kind: fc.constant("length" as const), at: where, delta: fc.integer({ min: -4, max: 4 }) }),
);

/** One of the seeds with a few bytes changed, cut out, repeated, put in, or made to be off by a little. */
export function mutated(seeds: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  return fc.tuple(fc.constantFrom(...seeds), fc.array(mutation, { maxLength: 6 })).map(([seed, mutations]) => {
    let bytes = [...seed];
    for (const change of mutations) {
      const at = Math.floor(change.at * (bytes.length + 1));
      if (change.kind === "flip") bytes[at % Math.max(1, bytes.length)] = change.value;
      else if (change.kind === "cut") bytes.splice(at, change.length);
      else if (change.kind === "repeat") bytes.splice(at, 0, ...bytes.slice(at, at + change.length));
      else if (change.kind === "insert") bytes.splice(at, 0, ...change.bytes);
      else if (at < bytes.length) bytes[at] = (bytes[at]! + change.delta) & 0xff;
      if (bytes.length > 70_000) bytes = bytes.slice(0, 70_000);
    }
    return Uint8Array.from(bytes);
  });
}
