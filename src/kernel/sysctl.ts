/**
 * Kernel settings under /proc/sys, named by their path there (`net/ipv4/conf/eth0.5/forwarding`: interface names may hold
 * dots). `net/…` is that of the network namespace of the thread that opens the file. Called by whoever sets up a place to
 * enforce, which also remembers what was there before.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SallyportError } from "../errors.ts";

/** The value without its newline; null where this kernel has no such setting. */
export function readSysctl(name: string): string | null {
  try {
    return readFileSync(pathOf(name), "utf8").trim();
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
}

/** Throws KERNEL_FEATURE where there is no such setting or it does not take the value. */
export function writeSysctl(name: string, value: string): void {
  try {
    writeFileSync(pathOf(name), value);
  } catch (error) {
    throw new SallyportError(
      "KERNEL_FEATURE",
      `${name} cannot be set to ${value}: ${(error as Error).message}`,
      { name },
      error,
    );
  }
}

/** The names below a folder of settings (interfaces below `net/ipv4/conf`); none where it does not exist. */
export function listSysctl(folder: string): string[] {
  try {
    return readdirSync(pathOf(folder));
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

function pathOf(name: string): string {
  if (name.split("/").some((part) => part === "" || part === ".." || part === ".")) {
    throw new RangeError(`not a setting's name: ${JSON.stringify(name)}`);
  }
  return join("/proc/sys", name);
}

function isAbsent(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "ENOENT" || code === "ENOTDIR";
}
