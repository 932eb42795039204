/**
 * How far the recorder's thread is behind, in memory that all threads see: UTF-16 units of text handed to it and taken by it. Who
 * makes many events looks here before it makes more, so that they wait where they are made and not, without a bound, between threads.
 */
export type Progress = Int32Array<SharedArrayBuffer>;

const posted = 0;
const taken = 1;

/** Beyond it whoever can wait waits. What the recorder does in a fifth of a second. */
export const mostBehind = 16 * 1024 * 1024;

export function newProgress(): Progress {
  return new Int32Array(new SharedArrayBuffer(8));
}

/** Text was handed over. */
export function post(progress: Progress, units: number): void {
  Atomics.add(progress, posted, units);
}

/** Text was taken. */
export function take(progress: Progress, units: number): void {
  Atomics.add(progress, taken, units);
}

/** Nobody will take anything any more: nobody is to wait. */
export function abandon(progress: Progress): void {
  Atomics.store(progress, taken, Atomics.load(progress, posted));
}

export function behindBy(progress: Progress): number {
  // Both wrap around; their difference does not.
  return (Atomics.load(progress, posted) - Atomics.load(progress, taken)) | 0;
}
