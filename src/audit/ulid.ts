/**
 * ULIDs (github.com/ulid/spec) that never go down within one generator: 48 bits of milliseconds, 80 random bits, in
 * 26 characters of Crockford's base 32. Two ids of the same millisecond differ by one in the random part, so sorting
 * by id is sorting by order of creation. They identify an event across sinks; they prove nothing (`chain.ts` does).
 */
import { randomFillSync } from "node:crypto";

const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** A generator: called with milliseconds since the epoch, returns the next id. A clock that goes back is held still. */
export function ulidGenerator(): (milliseconds: number) => string {
  const digits = new Uint8Array(16);
  let last = -1;
  let prefix = "";
  return (milliseconds) => {
    if (milliseconds > last) begin(milliseconds);
    else if (!increment(digits)) begin(last + 1);
    let id = prefix;
    for (let i = 0; i < 16; i++) id += alphabet[digits[i]!];
    return id;
  };

  function begin(milliseconds: number): void {
    last = Math.floor(milliseconds);
    prefix = "";
    for (let i = 0, rest = last; i < 10; i++, rest = Math.floor(rest / 32)) prefix = alphabet[rest % 32]! + prefix;
    randomFillSync(digits);
    for (let i = 0; i < 16; i++) digits[i]! &= 31;
  }
}

/** Adds one to a base-32 number, least digit last; false where it overflows. */
function increment(digits: Uint8Array): boolean {
  for (let i = digits.length - 1; i >= 0; i--) {
    if (digits[i]! < 31) {
      digits[i]!++;
      return true;
    }
    digits[i] = 0;
  }
  return false;
}
