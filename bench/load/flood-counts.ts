/** What `flood.ts` and its thread count together, in shared memory. */
export type FloodCounts = Int32Array<SharedArrayBuffer>;

/** Events a second that are wanted. */
export const RATE = 0;
/** Messages with settled connections that the main thread has been through. */
export const HANDLED = 1;
/** Events offered to the main thread, and events that were due and not offered because it was too far behind. */
export const OFFERED = 2;
export const HELD_BACK = 3;
