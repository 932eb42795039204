/** Waiting for something that another process does, without a fixed sleep. */
import { setTimeout as sleep } from "node:timers/promises";

/** What `look` finds within this time; undefined where it finds nothing. */
export async function until<T>(look: () => T | null | undefined | false, timeoutMs: number): Promise<T | undefined> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const found = look();
    if (found !== undefined && found !== null && found !== false) return found;
    if (performance.now() > end) return undefined;
    await sleep(5);
  }
}
