/** Files about a cloud on the disk: JSON of AWS's and Terraform's, in whatever encoding a shell has written it. */
import { readFileSync, statSync } from "node:fs";
import { decodeJson } from "../../cloud/json.ts";
import { SallyportError } from "../../errors.ts";
import type { CloudFile } from "../cloud/check.ts";

/** Bytes. */
const largest = 256 * 1024 * 1024;

/** Throws CLOUD_UNREADABLE where a file is not there, too large, or no file. */
export function readCloudFiles(paths: readonly string[]): CloudFile[] {
  return [...new Set(paths)].map((path) => {
    try {
      const { size } = statSync(path);
      if (size > largest) throw new Error(`has ${size} bytes`);
      return { file: path, text: decodeJson(readFileSync(path)) };
    } catch (error) {
      throw new SallyportError("CLOUD_UNREADABLE", `${path}: ${(error as Error).message}`, { path }, error);
    }
  });
}
