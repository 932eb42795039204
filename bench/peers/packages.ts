/** The Debian packages of all contenders: `packages.txt`, which `scripts/setup --for-bench` installs. */
import { readFileSync } from "node:fs";

export const packages: readonly string[] = readFileSync(new URL("./packages.txt", import.meta.url), "utf8")
  .split("\n")
  .map((line) => line.replace(/#.*/, "").trim())
  .filter((line) => line !== "");
