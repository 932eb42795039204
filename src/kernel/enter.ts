/**
 * Doing something inside another network namespace. A socket belongs for ever to the namespace it was created in, so
 * `inNamespace` around its creation is all a thread needs. Called through `namespace.ts`.
 */
import { closeSync, openSync } from "node:fs";
import * as libc from "./libc.ts";

/** Where `ip netns` keeps named namespaces. */
export const NAMED = "/run/netns";

/** The path of a namespace given by name or by path. */
export function namespacePath(nameOrPath: string): string {
  if (nameOrPath.startsWith("/")) return nameOrPath;
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(nameOrPath)) {
    throw new RangeError(`not a namespace name: ${JSON.stringify(nameOrPath)}`);
  }
  return `${NAMED}/${nameOrPath}`;
}

/**
 * Runs `fn` with this thread in another network namespace and returns its result. `fn` is synchronous: sockets it makes
 * by FFI and processes it spawns synchronously are in that namespace; the event loop and other threads never are.
 *
 * A thread that cannot go back would open its next socket on the wrong side of the firewall, so the process aborts.
 */
export function inNamespace<T>(nameOrPath: string, fn: () => T): T {
  const home = openSync("/proc/thread-self/ns/net", "r");
  try {
    const target = openSync(namespacePath(nameOrPath), "r");
    try {
      libc.setns(target, libc.CLONE_NEWNET);
    } finally {
      closeSync(target);
    }
    let result: T;
    try {
      result = fn();
    } finally {
      goHome(home);
    }
    if (result instanceof Promise) throw new TypeError("inNamespace runs synchronous functions only");
    return result;
  } finally {
    closeSync(home);
  }
}

function goHome(home: number): void {
  try {
    libc.setns(home, libc.CLONE_NEWNET);
  } catch (error) {
    process.stderr.write(`sallyport: cannot leave a network namespace: ${String(error)}\n`);
    process.abort();
  }
}
