/**
 * How much work a parser does, without a clock where that is possible: reads of its input are counted, which no other load on
 * the machine changes. What works on text through regular expressions and packages is measured by this thread's own CPU time,
 * as a ratio between sizes and never in milliseconds.
 */
import assert from "node:assert/strict";

/** A view of `bytes` that counts how often one of them is read. For parsers that hand nothing to native code. */
export function counted(bytes: Uint8Array): { bytes: Uint8Array; reads: () => number } {
  let reads = 0;
  const wrap = (view: Uint8Array): Uint8Array =>
    new Proxy(view, {
      get(target, key) {
        if (typeof key === "string" && key.charCodeAt(0) < 0x3a) {
          reads++;
          return target[Number(key)];
        }
        if (key === "subarray") return (from?: number, to?: number) => wrap(target.subarray(from, to));
        const value: unknown = Reflect.get(target, key, target);
        // Whole-array methods and iterators read every byte once.
        if (typeof value !== "function") return value;
        reads += target.length;
        return value.bind(target) as unknown;
      },
    });
  return { bytes: wrap(bytes), reads: () => reads };
}

/** Fails where reading `bytes` takes more than `perByte` reads a byte and `constant` more. */
export function assertLinear(
  bytes: Uint8Array,
  perByte: number,
  constant: number,
  read: (bytes: Uint8Array) => unknown,
): void {
  const input = counted(bytes);
  read(input.bytes);
  const most = perByte * bytes.length + constant;
  assert.ok(input.reads() <= most, `${input.reads()} reads of ${bytes.length} bytes, over ${most}`);
}

/** CPU time of one run, microseconds: the least of several, since anything else on the machine only adds. */
function cost(run: () => unknown): number {
  let least = Infinity;
  for (let i = 0; i < 4; i++) {
    const before = process.threadCpuUsage();
    run();
    const { user, system } = process.threadCpuUsage(before);
    least = Math.min(least, user + system);
  }
  return least;
}

/** The kernel may count CPU time in ticks of 4 ms; what is compared takes several. */
const measurable = 20_000;

/**
 * Fails where four times the input takes clearly more than four times the work: quadratic work would take sixteen times.
 * `make` builds an input of a size; it starts at `size` and grows, eight times at most, until the work on it can be measured.
 */
export function assertGrowsLinearly<T>(
  title: string,
  size: number,
  make: (size: number) => T,
  read: (input: T) => unknown,
): void {
  let small = make(size);
  for (let i = 0; i < 3 && cost(() => read(small)) < measurable; i++) small = make((size *= 2));
  const large = make(size * 4);
  const ratios: number[] = [];
  // A second and a third look before calling it a defect: the collector may have run in the first.
  for (let look = 0; look < 3; look++) {
    const ratio =
      cost(() => read(large)) /
      Math.max(
        measurable,
        cost(() => read(small)),
      );
    if (ratio < 9) return;
    ratios.push(Math.round(ratio));
  }
  assert.fail(`${title}: four times the input took ${ratios.join(", ")} times the work`);
}
